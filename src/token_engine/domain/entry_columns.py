"""Many entries at once, a column for each of their fields: most of what each needs by itself is found once for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import repeat
from typing import Any

from msgspec.structs import astuple

from token_engine.domain.entry import CreditDebit, Entry, EntryStatus, ReversalSign, adds
from token_engine.domain.money import EXACT, sum_exactly
from token_engine.domain.notification import MessageKind
from token_engine.domain.pairing import identity_in_words, usable_reference

Columns = Mapping[str, Sequence[Any]]
"""By the names of an entry's fields."""
Mark = tuple[CreditDebit, bool, EntryStatus, date | None]
"""All that decides what sign an amount has and whether it counts: indicator, reversal, status, value date."""


def columns_of(entries: Sequence[Entry]) -> Columns:
    """The columns of entries, one at least."""
    return dict(zip(Entry.__struct_fields__, zip(*map(astuple, entries), strict=True), strict=True))


def signed_amounts(of: Columns, reversal_sign: ReversalSign = ReversalSign.PUBLISHED) -> Sequence[Decimal]:
    """`signed_amount` of each; the amounts themselves where all add."""
    amounts: Sequence[Decimal] = of["amount"]
    indicators = list(zip(of["credit_debit"], of["reversal"], strict=True))
    adding = {told: adds(*told, reversal_sign) for told in set(indicators)}
    if all(adding.values()):
        return amounts
    minus = EXACT.minus
    return [amount if adding[told] else minus(amount) for amount, told in zip(amounts, indicators, strict=True)]


def sums(of: Columns) -> dict[Mark, Decimal]:
    """The sums of amounts without sign, by their marks."""
    marked: dict[Mark, list[Decimal]] = {}
    marks = zip(of["credit_debit"], of["reversal"], of["status"], of["value_date"], strict=True)
    for mark, amount in zip(marks, of["amount"], strict=True):
        marked.setdefault(mark, []).append(amount)
    return {mark: sum_exactly(amounts) for mark, amounts in marked.items()}


def days_booked(of: Columns) -> set[date]:
    """The booking dates of those that are booked."""
    told = set(zip(of["booking_date"], of["status"], strict=True))
    return {day for day, status in told if day is not None and status is EntryStatus.BOOK}


def identities(of: Columns, kind: MessageKind, message_id: str) -> list[str]:
    """`identity` of each, in one message."""
    named = zip(of["servicer_reference"], of["entry_reference"], strict=True)
    dated = zip(of["booking_date"], of["value_date"], strict=True)
    references = [servicer or usable_reference(own) for servicer, own in named]
    days = [booked or valued for booked, valued in dated]
    of_all = repeat(kind), repeat(message_id)
    return list(map(identity_in_words, of["credit_debit"], of["status"], references, days, *of_all))
