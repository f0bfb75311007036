"""Which lines of the bank answer for which movements: the passes, what each rests on, and how sure it is (DESIGN 3.4).

A pass pairs equal signed amounts under a key that names one thing on each side. Where the key names several, nothing is
matched and a person is asked: precision comes before recall. The SQL that does it to a million lines at once is
storage/matching.sql; what it must not do is said here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from token_engine.domain.refusal import Refusal

LONGEST_WINDOW: Final = 31
"""Days. Wider than a month, an equal amount of a customer is rather the next one than the same one."""


class Pass(StrEnum):
    """The rule that made a match, in the order in which they are run. MANUAL and FORCED are people's."""

    MET = "met"
    UETR = "uetr"
    END_TO_END = "end_to_end"
    BANK_REFERENCE = "bank_reference"
    INSTRUCTION = "instruction"
    CREDITOR_REFERENCE = "creditor_reference"
    DETAILS = "details"
    BATCH = "batch"
    AMOUNT_DATE = "amount_date"
    MANUAL = "manual"
    FORCED = "forced"


class Confidence(StrEnum):
    """CERTAIN: the same thing by a name made to be unique, or by what the ledger did when it came. HIGH: by a name that
    somebody may use twice. MEDIUM: by facts that two payments can share. PERSON: somebody said so.
    """

    CERTAIN = "certain"
    HIGH = "high"
    MEDIUM = "medium"
    PERSON = "person"


class Rule(msgspec.Struct, frozen=True):
    """How sure a pass is, and the rule behind it in words for people."""

    confidence: Confidence
    text: str


RULES: Final[dict[Pass, Rule]] = {
    Pass.MET: Rule(Confidence.CERTAIN, "the movement was posted for this entry, or both entries undo each other"),
    Pass.UETR: Rule(Confidence.CERTAIN, "same UETR and amount; a UETR is unique for ever (ISO 20022, UUIDv4)"),
    Pass.END_TO_END: Rule(Confidence.CERTAIN, "same end-to-end id and amount, which no other open item has"),
    Pass.BANK_REFERENCE: Rule(
        Confidence.CERTAIN, "same reference of the bank and amount, which no other open item has"
    ),
    Pass.INSTRUCTION: Rule(Confidence.HIGH, "same instruction or transaction id and amount, only once on each side"),
    Pass.CREDITOR_REFERENCE: Rule(Confidence.HIGH, "same creditor reference and amount, only once on each side"),
    Pass.DETAILS: Rule(Confidence.HIGH, "each payment that the line books has its movement, and they sum to the line"),
    Pass.BATCH: Rule(Confidence.HIGH, "exact sum inside a reference that all share; one side is a single item"),
    Pass.AMOUNT_DATE: Rule(
        Confidence.MEDIUM, "same amount and counterparty, value dates close; no other open item could be meant"
    ),
    Pass.MANUAL: Rule(Confidence.PERSON, "a person said so; the sums are equal"),
    Pass.FORCED: Rule(Confidence.PERSON, "two persons said so; the difference is kept"),
}

KEYS: Final[tuple[tuple[Pass, str], ...]] = (
    (Pass.UETR, "uetr"),
    (Pass.END_TO_END, "end_to_end_id"),
    (Pass.BANK_REFERENCE, "bank_reference"),
    (Pass.INSTRUCTION, "instruction_id"),
    (Pass.INSTRUCTION, "transaction_id"),
    (Pass.CREDITOR_REFERENCE, "creditor_reference"),
)
"""What pairs one to one, strongest first: a pair that a stronger key tells apart is not made by a weaker one."""

SUMS: Final[tuple[str, ...]] = ("batch_reference", "end_to_end_id", "bank_reference")
"""References inside which one item of a side may answer for several of the other."""

_FIELDS: Final = (
    *dict.fromkeys(key for _, key in KEYS), "batch_reference", "counterparty", "value_date",
)  # fmt: skip

CHOOSABLE: Final = tuple(p for p in Pass if p not in (Pass.MET, Pass.MANUAL, Pass.FORCED))
"""Passes that a policy can leave out. What Tier 1 posted for an entry is a fact and no choice."""


class MatchingPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How an account's lines are matched. `window_days`: how far apart value dates may be where only amounts and
    counterparties agree; without `counterparty_needed` a counterparty that one side does not tell is no obstacle.
    """

    passes: tuple[Pass, ...] = CHOOSABLE
    window_days: int = 2
    counterparty_needed: bool = True


DEFAULT_POLICY: Final = MatchingPolicy()


def unusable(policy: MatchingPolicy) -> Refusal | None:
    """Why a policy cannot be; None if it can."""
    if not 0 <= policy.window_days <= LONGEST_WINDOW:
        return Refusal("invalid_policy", f"window_days: from 0 to {LONGEST_WINDOW}", "window_days")
    if wrong := [p for p in policy.passes if p not in CHOOSABLE]:
        return Refusal("invalid_policy", f"passes: {wrong[0]} is none that can be chosen", "passes")
    if len(set(policy.passes)) != len(policy.passes):
        return Refusal("invalid_policy", "passes: one is named twice", "passes")
    return None


def agreed(entries: Sequence[Mapping[str, Any]], movements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The fields that say the same on every item of both sides, with what they say: the evidence of a match.

    A transaction id of the bank is an instruction id of the ledger; a counterparty is its letters and digits.
    """
    found: dict[str, Any] = {}
    for field in _FIELDS:
        theirs = {_compared(field, e.get(field)) for e in entries}
        ours = {_compared(field, m.get("instruction_id" if field == "transaction_id" else field)) for m in movements}
        if len(theirs) == 1 and theirs == ours and None not in theirs:
            found[field] = entries[0][field]
    return found


def _compared(field: str, value: Any) -> Any:
    if value is None or field == "value_date":
        return value
    word = str(value)
    if field == "counterparty":
        return "".join(c for c in word if c.isalnum()).upper() or None
    return word.lower() if field == "uetr" else word
