"""Discrepancies as work: who looks into one, what they found, and when it is done.

Every act takes the account's lock first, as the road does, so that a message and a person find one order.
What a person did twice because the answer was lost is done once: an act that the story's last line tells
already is answered and not repeated.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple, assert_never
from uuid import UUID, uuid4

import msgspec
from msgspec import structs

from token_engine.domain.account import Account
from token_engine.domain.backing import Level, Verdict, judge_observed, policy_for, verdict_as_of
from token_engine.domain.discrepancy import (
    BALANCE_MISMATCH,
    Case,
    DifferenceRemains,
    Happening,
    Status,
    Told,
    already_resolved,
    repeats,
    status_of,
    why_not_reopened,
)
from token_engine.domain.money import EXACT, in_currency
from token_engine.domain.person import check_actor
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.storage import accounts as stored_accounts
from token_engine.storage import discrepancies, positions
from token_engine.storage.database import Transaction
from token_engine.storage.discrepancies import Wanted
from token_engine.tiers import accounts
from token_engine.tiers.acceptance import as_account_id
from token_engine.tiers.changes import Changes

LARGEST_PAGE: Final = 1000
_TEXT_LENGTH: Final = 4000
_AGE: Final = re.compile(r"([0-9]{1,5})([smhd])", re.ASCII)
_UNIT: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_STATUSES: Final[dict[str, tuple[Status, ...]]] = {
    "open": (Status.OPEN,),
    "investigating": (Status.INVESTIGATING,),
    "resolved": (Status.RESOLVED,),
    "unresolved": (Status.OPEN, Status.INVESTIGATING),
}


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Which discrepancies somebody asks for, in words as they come; None is all.

    `status`: open (nobody's), investigating, resolved, or unresolved (the first two). `account`: an id, or a number
    in whatever currencies.
    `older_than`: 90m, 36h, 7d. `order`: newest or oldest first, by when they opened. `after`: the id of the
    last one seen.
    """

    status: str | None = None
    account: str | None = None
    type: str | None = None
    severity: str | None = None
    assignee: str | None = None
    older_than: str | None = None
    order: str = "newest"
    after: str | None = None
    limit: int = 100


class Assignment(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`assignee` None gives it back."""

    actor: str
    assignee: str | None


class Comment(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    actor: str
    text: str


class Resolution(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    actor: str
    reason: str


class Reopening(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    actor: str
    reason: str


Act = Assignment | Comment | Resolution | Reopening


async def listing(tx: Transaction, question: Question, now: datetime) -> list[dict[str, Any]] | Refusal:
    """The discrepancies asked for, each with its age at `now` (with a time zone)."""
    try:
        wanted = await _wanted(tx, question, now)
        after = await _after(tx, question.after)
    except RefusedError as refused:
        return refused.refusal
    rows = await discrepancies.listing(
        tx, wanted, now, oldest_first=_word(question.order, "order", ("newest", "oldest")) == "oldest", after=after,
        limit=min(question.limit, LARGEST_PAGE),
    )  # fmt: skip
    return [_view(row, now) for row in rows]


async def unresolved(tx: Transaction, now: datetime, limit: int) -> list[dict[str, Any]]:
    """What is left to do, oldest first."""
    found = await listing(tx, Question(status="unresolved", order="oldest", limit=limit), now)
    assert not isinstance(found, Refusal)  # nothing in the question comes from outside
    return found


async def _wanted(tx: Transaction, question: Question, now: datetime) -> Wanted:
    _word(question.order, "order", ("newest", "oldest"))
    status = _word(question.status, "status", tuple(_STATUSES))
    severities = {level.value.lower(): level for level in Level if level is not Level.OK}
    severity = _word(question.severity, "severity", tuple(severities))
    account_id = account_number = None
    if question.account is not None:
        view = await accounts.show(tx, question.account, now)
        if view is None:
            text = f"account: no account {question.account!r} is known here"
            raise RefusedError("unknown_account", text, "account")
        if as_account_id(question.account) == UUID(view["id"]):
            account_id = UUID(view["id"])
        else:  # a number, under which there is an account for each currency
            account_number = view["account_number"]
    open_for = None
    if question.older_than is not None:
        match = _AGE.fullmatch(question.older_than)
        if match is None:
            text = f"older_than: {question.older_than[:20]!r} is not an age such as 90m, 36h or 7d"
            raise RefusedError("invalid_request", text, "older_than")
        open_for = timedelta(**{_UNIT[match[2]]: int(match[1])})
    return Wanted(
        statuses=_STATUSES[status] if status else None, account_id=account_id, account_number=account_number,
        type=question.type and question.type.upper(), severity=severities[severity] if severity else None,
        assignee=question.assignee and question.assignee.strip(), open_for=open_for,
    )  # fmt: skip


async def _after(tx: Transaction, name: str | None) -> tuple[datetime, UUID] | None:
    if name is None:
        return None
    key = as_account_id(name)
    row = await discrepancies.one(tx, key) if key else None
    if row is None:
        raise RefusedError("invalid_request", f"after: no discrepancy {name[:40]!r} is known here", "after")
    return row["opened_at"], row["id"]


def _word(said: str | None, field: str, words: tuple[str, ...]) -> str | None:
    if said is None or said.lower() in words:
        return said and said.lower()
    raise RefusedError("invalid_request", f"{field}: {said[:20]!r} is none of {', '.join(words)}", field)


async def show(tx: Transaction, name: str, now: datetime) -> dict[str, Any] | None:
    """One discrepancy with its age, the evidence of its figures, its whole story, and how its account stands now."""
    key = as_account_id(name)
    row = await discrepancies.one(tx, key) if key else None
    if row is None:
        return None
    currency = row["currency"]
    evidence = {name: row[name] for name in ("source_system", "source_reference", "message_id")}
    story = [_line(told, currency) for told in await discrepancies.story(tx, row["id"])]
    account = await accounts.show(tx, str(row["account_id"]), now)
    return _view(row, now) | {"evidence": evidence, "history": story, "account": account}


def _view(row: dict[str, Any], now: datetime) -> dict[str, Any]:
    money = {
        name: None if row[name] is None else in_currency(row[name], row["currency"])
        for name in ("expected_value", "actual_value", "difference")
    }
    age = (row["resolved_at"] or now) - row["opened_at"]
    return row | money | {"age_seconds": max(0, int(age.total_seconds()))}


def _line(told: Told, currency: str) -> dict[str, Any]:
    return {
        "happening": told.happening, "at": told.at, "actor": told.actor, "text": told.text, "severity": told.severity,
        "expected_value": None if told.ledger is None else in_currency(told.ledger, currency),
        "actual_value": None if told.bank is None else in_currency(told.bank, currency),
        "assignee": told.assignee, "message_id": told.message_id,
    }  # fmt: skip


async def do(tx: Transaction, name: str, act: Act, now: datetime) -> dict[str, Any] | Refusal:
    """Do what a person wants with the discrepancy of this id, at `now` (with a time zone); its view, or why not."""
    unknown = Refusal("unknown_discrepancy", f"no discrepancy {name[:40]!r} is known here")
    try:
        act = _checked(act)
    except RefusedError as refused:
        return refused.refusal
    key = as_account_id(name)
    row = await discrepancies.one(tx, key) if key else None
    if row is None:
        return unknown
    [locked] = await positions.lock_ids(tx, [row["account_id"]])
    policies = await positions.policies_of(tx, [locked])
    policy = policy_for(policies, locked.id, locked.currency)
    account = structs.replace(locked, policy=policy)
    case = await discrepancies.case(tx, row["id"])
    assert case is not None  # none is ever deleted
    last = await discrepancies.last_line(tx, case.id)
    at_hand = _AtHand(tx, case, last, account, now)
    match act:
        case Assignment():
            told = await _assign(at_hand, act)
        case Comment():
            told = _comment(at_hand, act)
        case Resolution():
            told = await _resolve(at_hand, act)
        case Reopening():
            told = await _reopen(at_hand, act)
        case _:
            assert_never(act)
    if isinstance(told, Refusal):
        return told
    if told is not None:
        changes = Changes(now)
        changes.told(told, account, str(uuid4()))
        await changes.write(tx)
    return await show(tx, name, now) or unknown


class _AtHand(NamedTuple):
    """A discrepancy, the last line of its story, and its account with the policy that holds: under lock."""

    tx: Transaction
    case: Case
    last: Told | None
    account: Account
    now: datetime

    @property
    def figures(self) -> tuple[Decimal | None, Decimal | None]:
        """Ledger and bank as they are now; of another type than theirs, what it was opened with."""
        if self.case.type == BALANCE_MISMATCH:
            return self.account.ledger, self._judged[1]
        return self.case.ledger, self.case.bank

    @property
    def level(self) -> Level:
        return self._judged[0]

    @property
    def _judged(self) -> tuple[Level, Decimal]:
        account = self.account
        return judge_observed(account.ledger, account.bank, account.observed_gap, account.policy)

    def tell(
        self, happening: Happening, actor: str, text: str | None, assignee: str | None, severity: Level | None = None
    ) -> Told:
        ledger, bank = self.figures
        return Told(
            discrepancy_id=self.case.id, type=self.case.type, happening=happening, at=self.now, actor=actor, text=text,
            severity=severity or self.case.severity, ledger=ledger, bank=bank, assignee=assignee,
        )  # fmt: skip


async def _assign(at: _AtHand, act: Assignment) -> Told | Refusal | None:
    if refusal := already_resolved(at.case):
        return refusal
    if act.assignee == at.case.assignee:
        return None
    await discrepancies.assign(at.tx, at.case.id, status_of(act.assignee), act.assignee, at.now)
    return at.tell(Happening.ASSIGNED, act.actor, None, act.assignee)


def _comment(at: _AtHand, act: Comment) -> Told | None:
    if repeats(at.last, Happening.COMMENTED, act.actor, act.text):
        return None
    return at.tell(Happening.COMMENTED, act.actor, act.text, at.case.assignee)


async def _resolve(at: _AtHand, act: Resolution) -> Told | Refusal | None:
    if repeats(at.last, Happening.RESOLVED, act.actor, act.reason):
        return None
    refusal = already_resolved(at.case)
    if refusal is None and at.case.type == BALANCE_MISMATCH:
        refusal = await _still_apart(at)
    if refusal is not None:
        return refusal
    await discrepancies.resolve(at.tx, at.case.id, act.actor, act.reason, *at.figures, at.now)
    return at.tell(Happening.RESOLVED, act.actor, act.reason, at.case.assignee)


async def _still_apart(at: _AtHand) -> Refusal | None:
    """Why nobody may say yet that the difference is gone: it is not, or the evidence for it is too old.

    To accept one that remains would not last: the next message would open the discrepancy again. A policy that
    tolerates it is what accepts a difference (audited), or a movement that makes it good.
    """
    account, level = at.account, at.level
    if level is not Level.OK:
        figures = {
            "ledger_balance": in_currency(account.ledger, account.currency),
            "bank_balance": in_currency(account.bank, account.currency),
            "difference": in_currency(EXACT.subtract(account.bank, account.ledger), account.currency),
            "currency": account.currency,
            "verdict": level.value,
        }
        text = (
            f"the difference remains ({level}): ledger {figures['ledger_balance']}, bank {figures['bank_balance']}, "
            f"difference {figures['difference']} {account.currency}"
        )
        return DifferenceRemains("difference_remains", text, figures=figures)
    evidence_at = await stored_accounts.evidence_at(at.tx, account.id)
    since = account.statement_missing_since
    verdict = verdict_as_of(level, evidence_at, at.now, account.policy, statement_missing_since=since)
    if verdict is not Verdict.OK and account.closed_at is None:  # of a closed account no bank will speak again
        spoke = f"last spoke at {evidence_at:%Y-%m-%dT%H:%M:%SZ}" if evidence_at else "has not spoken yet"
        lacks = f"; a statement is missing that was due at {since:%Y-%m-%dT%H:%M:%SZ}" if since else ""
        return Refusal("no_fresh_evidence", f"the verdict is {verdict}: the bank {spoke}{lacks}")
    return None


async def _reopen(at: _AtHand, act: Reopening) -> Told | Refusal | None:
    if repeats(at.last, Happening.REOPENED, act.actor, act.reason):
        return None
    case = at.case
    refusal = why_not_reopened(case, await discrepancies.other_open(at.tx, case.id))
    if refusal is not None:
        return refusal
    severity, gone_since = case.severity, None
    if case.type == BALANCE_MISMATCH:
        severity = case.severity if at.level is Level.OK else at.level
        gone_since = at.now if at.level is Level.OK else None
    await discrepancies.reopen(
        at.tx, case.id, status_of(case.assignee), severity, *at.figures, gone_since, at.now
    )  # fmt: skip
    return at.tell(Happening.REOPENED, act.actor, act.reason, case.assignee, severity)


def _checked(act: Act) -> Act:
    """The act with its names trimmed. Raises RefusedError naming the field."""
    actor = check_actor(act.actor)
    match act:
        case Assignment():
            return Assignment(
                actor=actor, assignee=None if act.assignee is None else check_actor(act.assignee, "assignee")
            )
        case Comment():
            return Comment(actor=actor, text=_text(act.text, "text"))
        case Resolution():
            return Resolution(actor=actor, reason=_text(act.reason, "reason"))
        case Reopening():
            return Reopening(actor=actor, reason=_text(act.reason, "reason"))
        case _:
            assert_never(act)


def _text(said: str, field: str) -> str:
    text = said.strip()
    if not 1 <= len(text) <= _TEXT_LENGTH or not all(c.isprintable() or c in "\n\t" for c in text):
        raise RefusedError(f"invalid_{field}", f"{field}: 1 to {_TEXT_LENGTH} printable characters", field)
    return text
