"""Does a statement hold: of the right account, complete in itself, and joined to the one before? (DESIGN 3.4, Tier 3)

In every check `expected` is what the rest of the evidence gives, and `actual` what the statement says.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from token_engine.domain.account import Account
from token_engine.domain.money import EXACT, UNSTATED, in_currency
from token_engine.domain.notification import StatedBalance
from token_engine.domain.statement import Check, Outcome, Previous, Statement

_NUMBER: Final = re.compile(r"(\d{1,18})(?:/\d{1,18})?", re.ASCII)


def check(
    statement: Statement,
    account: Account,
    opening: StatedBalance | None,
    closing: StatedBalance | None,
    previous: Previous | None,
    *,
    latest: date,
    correction: bool = False,
) -> tuple[Check, ...]:
    """Every check there is, always in the same order; `statement` with all of its pages. Pure.

    `opening` and `closing` are its booked balances; `previous` is the statement that stands for the nearest day
    before its own, or what the account was taken on with; `latest` the last day that has begun anywhere on Earth.
    `correction`: another statement stands for its day, and this one would replace it.

    Source: DESIGN 3.4; ISO 20022 camt.053 (OPBD + booked entries = CLBD, `ElctrncSeqNb`, `TxsSummry/TtlNtries`);
    SWIFT MT940 field 28C.
    """
    return (
        _account(statement, account),
        _currency(statement, account, opening, closing),
        _closing_stated(account, closing),
        _entries_sum(statement, account, opening, closing, previous),
        _opening(account, opening, previous),
        _sequence(statement, closing, previous, correction=correction),
        _stated_count(statement),
        _stated_sum(statement, account),
        _period(closing, previous, latest, correction=correction),
    )


def sequence_of(text: str | None) -> int | None:
    """The number of a statement: "00235" and "235/00001" (page 1 of 235) are 235. None for what is no number."""
    found = _NUMBER.fullmatch(text.strip()) if text is not None else None
    return int(found[1]) if found else None


def _account(statement: Statement, account: Account) -> Check:
    said = statement.heading.account_number
    if said == account.number or said.lower() == str(account.id):
        return _passed("account", f"is of account {account.number}", account.number, said)
    return _failed("account", f"is of account {said}, not of {account.number}", account.number, said)


def _currency(
    statement: Statement, account: Account, opening: StatedBalance | None, closing: StatedBalance | None
) -> Check:
    said = set(statement.currencies) | {balance.currency for balance in statement.heading.balances}
    said |= {balance.currency for balance in (opening, closing) if balance is not None}
    if statement.heading.currency is not None:
        said.add(statement.heading.currency)
    said.discard(UNSTATED)
    if not said:
        return _not_checkable("currency", "the message names no currency")
    others = ", ".join(sorted(said - {account.currency}))
    if others:
        return _failed("currency", f"speaks of {others}; the account is kept in {account.currency}",
                       account.currency, others)  # fmt: skip
    return _passed("currency", f"heading, balances and entries are in {account.currency}",
                   account.currency, account.currency)  # fmt: skip


def _closing_stated(account: Account, closing: StatedBalance | None) -> Check:
    if closing is None:
        return _failed("closing_stated", "states no booked closing balance, so it closes nothing", "a balance", "none")
    said = in_currency(closing.signed, account.currency)
    if closing.includes_credit_line:
        text = "the closing balance includes a credit line: that is the bank's money, and not what it owes"
        return _failed("closing_stated", text, "without credit line", said)
    if closing.interim:
        return _failed("closing_stated", "the last balance closes a page, not the statement", "closing", "interim")
    return _passed("closing_stated", f"closes with {said} {account.currency}", said, said)


def _entries_sum(
    statement: Statement, account: Account, opening: StatedBalance | None, closing: StatedBalance | None,
    previous: Previous | None,
) -> Check:  # fmt: skip
    if closing is None:
        return _not_checkable("entries_sum", "the message states no closing balance")
    begins_with, whose = None if opening is None else opening.signed, "opening balance"
    if opening is None and previous is not None and previous.statement_date is not None:
        # It says no opening, but there is only one that it can have.
        begins_with, whose = previous.closing_balance, f"the closing balance of {previous.statement_date}"
    if begins_with is None:
        return _not_checkable("entries_sum", "the message states no opening balance")
    total = EXACT.add(begins_with, statement.booked_sum)
    expected, actual = in_currency(total, account.currency), in_currency(closing.signed, account.currency)
    if total == closing.signed:
        return _passed("entries_sum", f"{whose} and booked entries are the closing balance", expected, actual)
    later = statement.valued_later
    if later and EXACT.subtract(total, later) == closing.signed:
        text = f"booked entries of {in_currency(later, account.currency)} are valued after the closing balance's date"
        left = in_currency(closing.signed, account.currency)
        return _passed("entries_sum", f"{text}, which leaves them out: {expected} without them is it", left, actual)
    apart = in_currency(EXACT.subtract(closing.signed, total), account.currency)
    text = f"{whose} and booked entries are {expected}, the closing balance says {actual}: {apart} apart"
    return _failed("entries_sum", text, expected, actual)


def _opening(account: Account, opening: StatedBalance | None, previous: Previous | None) -> Check:
    name = "opening_is_previous_closing"
    if opening is None:
        return _not_checkable(name, "the message states no opening balance")
    if previous is None:
        return _not_checkable(name, "no earlier balance of the account is known")
    whose = "the opening position" if previous.statement_date is None else f"the statement of {previous.statement_date}"
    expected = in_currency(previous.closing_balance, account.currency)
    actual = in_currency(opening.signed, account.currency)
    if opening.signed == previous.closing_balance:
        return _passed(name, f"opens where {whose} closed", expected, actual)
    return _failed(name, f"opens with {actual}; {whose} closed with {expected}", expected, actual)


def _sequence(
    statement: Statement, closing: StatedBalance | None, previous: Previous | None, *, correction: bool
) -> Check:
    said, before = statement.heading.sequence_number, previous.sequence_number if previous else None
    number, last = sequence_of(said), sequence_of(before)
    if number is None:
        return _not_checkable("sequence", _lacks_number("the message", said))
    if last is None:
        return _not_checkable("sequence", _lacks_number("the statement before", before))
    if number == last + 1:
        return _passed("sequence", f"{number} follows {last}", str(last + 1), str(number))
    if number == 1 and _new_year(closing, previous):
        return _passed("sequence", f"begins a new year with 1, after {last}", "1", "1")
    if correction:  # banks give it the number of what it replaces, or one of its own
        return _not_checkable("sequence", f"a correction with the number {number}; the one before it is {last}")
    if number == last:
        text = f"has the number {number} of the statement before, with other content"
    elif number < last:
        text = f"{number} comes after {last}"
    else:
        text = f"{number} after {last}: {number - last - 1} missing between them"
    return _failed("sequence", text, str(last + 1), str(number))


def _lacks_number(whose: str, said: str | None) -> str:
    return f"{whose} has no sequence number" if said is None else f"{whose} has {said!r}, which cannot be counted"


def _new_year(closing: StatedBalance | None, previous: Previous | None) -> bool:
    day = closing.as_of if closing is not None else None
    before = previous.statement_date if previous is not None else None
    return day is not None and before is not None and day.year > before.year


def _stated_count(statement: Statement) -> Check:
    said = statement.heading.stated_entries
    if said is None:
        return _not_checkable("stated_count", "the message states no number of entries")
    counted, stated = str(statement.lines), str(said)
    if said == statement.lines:
        return _passed("stated_count", f"has the {said} entries that it states", counted, stated)
    return _failed("stated_count", f"states {stated} entries and has {counted}", counted, stated)


def _stated_sum(statement: Statement, account: Account) -> Check:
    said = statement.heading.stated_sum
    if said is None:
        return _not_checkable("stated_sum", "the message states no sum of entries")
    counted, stated = (in_currency(amount, account.currency) for amount in (statement.amount_sum, said))
    if said == statement.amount_sum:
        return _passed("stated_sum", f"its entries are the {stated} that it states", counted, stated)
    if abs(said) == abs(statement.booked_sum):  # as some banks do, against the field's definition
        text = f"states {stated}: the difference of credits and debits, which is right, and not their sum"
        return _passed("stated_sum", text, stated, stated)
    return _failed("stated_sum", f"states entries of {stated} and has {counted}", counted, stated)


def _period(closing: StatedBalance | None, previous: Previous | None, latest: date, *, correction: bool) -> Check:
    day = closing.as_of if closing is not None else None
    if day is None:
        return _not_checkable("period", "the closing balance has no date")
    if day > latest:
        text = f"closes {day}, which has not begun anywhere yet"
        return _failed("period", text, f"{latest} or before", str(day))
    before = previous.statement_date if previous is not None else None
    if before is not None and day < before and not correction:
        text = f"closes {day}, before the statement of {before}"
        return _failed("period", text, f"{before} or later", str(day))
    return _passed("period", f"closes {day}", str(day), str(day))


def _passed(name: str, text: str, expected: str, actual: str) -> Check:
    return Check(name, Outcome.PASSED, text, expected, actual)


def _failed(name: str, text: str, expected: str, actual: str) -> Check:
    return Check(name, Outcome.FAILED, text, expected, actual)


def _not_checkable(name: str, text: str) -> Check:
    return Check(name, Outcome.NOT_CHECKABLE, text)


def failed(checks: tuple[Check, ...]) -> tuple[Check, ...]:
    """The failed checks: with any of them the statement is quarantined."""
    return tuple(found for found in checks if found.outcome is Outcome.FAILED)
