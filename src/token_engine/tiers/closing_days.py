"""Closes days, a set of them at a time: each of another account, so that none depends on another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby, zip_longest
from uuid import UUID, uuid4

import msgspec

from token_engine.domain.backing import Level, judge, statement_overdue
from token_engine.domain.closed_day import ClosedDay, StatementState
from token_engine.domain.discrepancy import (
    EOD_DIFFERENCE,
    NOTIFIED_NOT_STATED,
    STATED_NOT_NOTIFIED,
    STATEMENT_QUARANTINED,
)
from token_engine.domain.entry import CreditDebit, Entry, EntryStatus, ReversalSign
from token_engine.domain.known import NewEntry
from token_engine.domain.ledger import Mode
from token_engine.domain.meeting import Backing, Meeting
from token_engine.domain.money import EXACT, in_currency, sum_exactly
from token_engine.domain.notification import MessageKind
from token_engine.domain.pairing import Movement, Sighting, pair, usable_reference
from token_engine.domain.standing import Discrepancy, Evidence, Standing
from token_engine.domain.statement import Outcome
from token_engine.domain.statement_checks import check
from token_engine.storage import matching, meetings, recall, staging, statements
from token_engine.storage.database import Transaction
from token_engine.storage.staging import Awaited, Closing, Line, Moved
from token_engine.storage.statements import Figures, SnapshotRow, StatementRow
from token_engine.tiers import calendar, events, findings
from token_engine.tiers.announced import announce_meeting
from token_engine.tiers.changes import Changes
from token_engine.tiers.day import Day
from token_engine.tiers.findings import Finding, Source
from token_engine.tiers.progress import Progress, unheard

SOURCE = "CAMT_053"
_EASTERNMOST = timedelta(hours=14)
_LARGE = 2000
"""Lines from which on the planner is told how the tables grew: it would take them for as small as they were."""
_KEYS = 5000
"""Amounts whose known movements are looked at together: what is held in memory of a statement of millions."""
_encode = msgspec.json.Encoder().encode


async def close_days(
    tx: Transaction, days: Sequence[Day], changes: Changes, now: datetime, say: Progress = unheard
) -> None:
    """Close these days, whose lines are staged and whose accounts are locked, in order of account and date."""
    for nth, of_accounts in enumerate(_rounds(days)):
        if nth:  # what the days before raised is open to those after them
            await changes.write_discrepancies(tx)
        await _close(tx, of_accounts, changes, now, say)


def _rounds(days: Sequence[Day]) -> Iterator[list[Day]]:
    """The first of every account, then the second of those that have one, and so on."""
    ordered = sorted(days, key=lambda d: (d.account.id, d.date, d.stated.number))
    queues = [list(of_account) for _, of_account in groupby(ordered, key=lambda d: d.account.id)]
    for nth in zip_longest(*queues):
        yield [day for day in nth if day is not None]


async def _close(tx: Transaction, days: Sequence[Day], changes: Changes, now: datetime, say: Progress) -> None:
    say("checking", 0, 0)
    for day in days:
        await _check(tx, day, now)
        if day.state is StatementState.RELEASED:
            await statements.release(tx, day.number, day.corrects, day.lists_from)
        else:
            await statements.insert(tx, _row(day, now))
        standing = changes.standing(day.account)
        day.account = await calendar.arrived(tx, standing.account, day.date, day.reference, now)
        standing.account = day.account
    held = [day for day in days if day.state is StatementState.QUARANTINED]
    taken = [day for day in days if day.state is not StatementState.QUARANTINED]
    if held:
        await staging.take(tx, [_closing(day) for day in held])
        await staging.keep_lines(tx, quarantined=True)
        for day in held:
            await _quarantine(tx, day, changes, now)
    if taken:
        await staging.take(tx, [_closing(day) for day in taken])
        say("pairing with what is known", 0, 0)
        moved = await _pair(tx, taken)
        met = await _meet(tx, taken, moved, changes, now)
        say("recording", 0, 0)
        await staging.record(tx, [entry_id for entry_id, _, _ in met])
        if taken[0].state is StatementState.RELEASED:
            await staging.release_lines(tx)
        else:
            await staging.keep_lines(tx)
        await _write_met(tx, met, now)
        lines = sum(day.stated.lines for day in taken)
        grown = lines >= _LARGE and await staging.have_grown(tx, lines)
        if grown:
            await staging.learn_sizes(tx)
        say("matching", 0, 0)
        counts = await matching.match(tx, [day.number for day in taken], now)
        if grown:
            await staging.learn_matches(tx)
        say("judging", 0, 0)
        for day in taken:
            await _judge(tx, day, moved[day.stated.number], counts[day.number], changes, now)


async def _check(tx: Transaction, day: Day, now: datetime) -> None:
    """Decide what becomes of a statement, by its checks alone."""
    account, whole = day.account, day.statement
    previous = await statements.before(tx, account.id, day.date)
    last = await statements.last(tx, account.id)
    stands = await statements.standing(tx, account.id, day.date)
    latest = (now + _EASTERNMOST).date()
    if not day.checks:
        correction = stands is not None
        own = check(whole, account, day.opening, day.closing, previous, latest=latest, correction=correction)
        day.checks = (*own, day.pages)
    if day.state is StatementState.QUARANTINED:
        if any(found.outcome is Outcome.FAILED for found in day.checks):
            return
        day.state = StatementState.ACCEPTED
    if stands is not None:
        await statements.replace(tx, stands)
        day.corrects = stands
    day.latest = last is None or last.statement_date is None or last.statement_date <= day.date
    begins_with = EXACT.add(EXACT.subtract(day.closing.signed, whole.booked_sum), _left_out(day))
    if previous is None or previous.closing_balance != begins_with:
        day.lists_from = min(whole.first_booking or day.date, day.date)


def _left_out(day: Day) -> Decimal:
    """What is booked, valued later, and therefore not in the closing balance: nothing, from most banks."""
    whole = day.statement
    if day.opening is None or not whole.valued_later:
        return Decimal(0)
    total = EXACT.add(day.opening.signed, whole.booked_sum)
    return Decimal(0) if total == day.closing.signed else whole.valued_later


def _closing(day: Day) -> Closing:
    return Closing(
        day.stated.number, day.number, day.account.id, day.kept_as, day.stated.heading.message_id,
        day.stated.heading.reversal_sign(day.account.reversal_sign) is ReversalSign.INVERTED,
        day.account.mode is Mode.ENGINE, day.date if _left_out(day) else None,
    )  # fmt: skip


async def _pair(tx: Transaction, days: Sequence[Day]) -> dict[int, Moved]:
    """Say which lines are known movements: the certain ones as a set, the others by the rule itself. Returns what each
    statement brings that is none.
    """
    if not await staging.loose(tx):
        await staging.learn_pairs(tx)
        return {day.stated.number: Moved(day.stated.lines, day.statement.booked_sum) for day in days}
    await staging.pair_certain(tx)
    doubtful = await staging.doubtful(tx)
    groups = [list(alike) for _, alike in groupby(doubtful, key=_group)]
    for start in range(0, len(groups), _KEYS):
        part = groups[start : start + _KEYS]
        known, ids = await staging.candidates(tx, ((g[0].account_id, g[0].amount) for g in part))
        shelves: dict[tuple[UUID, Decimal, str, str], list[Movement]] = {}
        for account, amount, movement in known:
            side, status = movement.identity.split(" ", 2)[:2]
            shelves.setdefault((account, amount, side, status), []).append(movement)
        pairs = []
        for alike in part:
            claims = pair([_sighting(line) for line in alike], shelves.get(_group(alike[0]), ()))
            for line, claimed in zip(alike, claims, strict=True):
                if claimed is not None:
                    entry = ids[line.account_id, line.amount, claimed.identity, claimed.occurrence]
                    pairs.append((line.statement, line.line, entry))
        await staging.pair(tx, pairs)
    await staging.learn_pairs(tx)
    return await staging.moved(tx)


def _group(line: Line) -> tuple[UUID, Decimal, str, str]:
    return line.account_id, line.amount, line.credit_debit, line.status


def _sighting(line: Line) -> Sighting:
    return Sighting(
        MessageKind.STATEMENT, line.bank_message_id, line.servicer_reference, usable_reference(line.entry_reference),
        line.booking_date, line.value_date,
    )  # fmt: skip


_Meetings = list[tuple[int, UUID, Meeting]]
"""The number of the entry, its account, and what it met."""


async def _meet(
    tx: Transaction, days: Sequence[Day], moved: dict[int, Moved], changes: Changes, now: datetime
) -> _Meetings:
    """What new lines meet, as a notification's entries would: the ledger has moved by it before the day is judged."""
    awaited = await staging.awaited(tx)
    if not awaited:
        return []
    by_statement = {day.stated.number: day for day in days}
    keys = {(by_statement[a.statement].account.number, a.end_to_end_id) for a in awaited}
    answer = await recall.answer_from(await recall.ask(tx, [], [], {number for number, _ in keys}, keys))
    met: _Meetings = []
    for number, lines in groupby(awaited, key=lambda a: a.statement):
        day = by_statement[number]
        standing = changes.standing(day.account)
        entries = {id(new := _new(line, day.account.currency)): (line, new) for line in lines}
        bank = EXACT.add(standing.bank, moved[number].booked)
        stale = statement_overdue(day.account.statement_missing_since, now, day.account.policy)
        backing = Backing(standing.account.ledger, bank, standing.breaker, stale)
        found = answer.expectations.meet(
            day.account.id, [(new, line.change) for line, new in entries.values()], backing, now
        )
        standing.issue(sum_exactly(m.issued for m in found))
        met += [(entries[id(m.entry)][0].entry_id, day.account.id, m) for m in found]
        for meeting in found:
            announce_meeting(changes, meeting, day.account, _evidence(day, now))
    return met


def _new(line: Awaited, currency: str) -> NewEntry:
    entry = Entry(
        amount=line.amount, currency=currency, credit_debit=CreditDebit(line.credit_debit), status=EntryStatus.BOOK,
        reversal=line.reversal, booking_date=line.booking_date, value_date=line.value_date,
        servicer_reference=line.servicer_reference, entry_reference=line.entry_reference,
        end_to_end_id=line.end_to_end_id,
    )  # fmt: skip
    return NewEntry(entry, line.identity, 0)


async def _write_met(tx: Transaction, met: _Meetings, now: datetime) -> None:
    if not met:
        return
    numbered = await statements.occurrences(tx, [entry_id for entry_id, _, _ in met])
    for entry_id, _, meeting in met:
        meeting.entry.occurrence = numbered[entry_id]
    await meetings.write(tx, [(account, meeting) for _, account, meeting in met], now)


async def _judge(
    tx: Transaction, day: Day, moved: Moved, counts: matching.Counts, changes: Changes, now: datetime
) -> None:
    """Move the position, judge the account as it stands now, and close the day as it was."""
    account = day.account
    standing = changes.standing(account)
    goes_on = day.latest and day.lists_from is None and day.corrects is None
    change = moved.booked if goes_on else EXACT.subtract(await statements.position(tx, account.id), standing.bank)
    evidence = _evidence(day, now)
    standing.stated(day.cut_off)
    judgement, step = standing.take(change, moved.new, evidence, uuid4)
    changes.judged(judgement, step, evidence, f"eod.{day.number}", day.kept_as)
    ledger = await statements.ledger_as_of(tx, account.id, day.number, day.date, day.cut_off)
    level = judge(ledger, day.closing.signed, account.policy)
    await _raise_findings(tx, day, ledger, level, moved, changes, now)
    await _snapshot(tx, day, ledger, level, counts, moved.new, standing, changes, now)


async def _raise_findings(
    tx: Transaction, day: Day, ledger: Decimal, level: Level, moved: Moved, changes: Changes, now: datetime
) -> None:
    account, zero = day.account, Decimal(0)
    found: dict[tuple[str, str], Finding] = {}
    subject = str(day.date)
    if level is not Level.OK:
        text = f"as of {day.cut_off:%Y-%m-%dT%H:%M:%SZ} the ledger is {in_currency(ledger, account.currency)}"
        found[EOD_DIFFERENCE, subject] = Finding(ledger, day.closing.signed, level, text)
    for when, number, total in await statements.missing(tx, account.id, day.date):
        text = f"{number} entries of {when} were notified and are in no statement"
        found[NOTIFIED_NOT_STATED, str(when)] = Finding(total, zero, Level.MINOR, text)
    if moved.new and await statements.notified(tx, account.id):
        text = f"{moved.new} entries are stated that were not notified"
        found[STATED_NOT_NOTIFIED, subject] = Finding(zero, moved.booked, Level.MINOR, text)
    source = Source(SOURCE, day.reference, day.kept_as, now)
    await findings.settle(tx, changes, account, found, day.date, source)
    # The day is closed now, whatever an earlier statement of it lacked.
    earlier = [day.number, *await statements.quarantined_of(tx, account.id, day.date)]
    await findings.resolve(tx, changes, account, STATEMENT_QUARANTINED, {str(number) for number in earlier}, source)


async def _snapshot(
    tx: Transaction, day: Day, ledger: Decimal, level: Level, counts: matching.Counts, recorded: int,
    standing: Standing, changes: Changes, now: datetime,
) -> None:  # fmt: skip
    account, bank = day.account, day.closing.signed
    difference = EXACT.subtract(bank, ledger)
    reconciled = day.state is not StatementState.QUARANTINED and level is Level.OK
    row = SnapshotRow(account.id, day.date, ledger, bank, difference, reconciled, day.reference[:100])
    if day.state is StatementState.QUARANTINED:
        key = await statements.close_held(tx, row)
    else:
        replaces = f" replaces {day.corrects}" if day.corrects else ""
        reason = day.reason or f"statement {day.number}{replaces}"
        key = await statements.close(tx, row, day.number, reason, day.actor, now)
    day.closed = ClosedDay(
        snapshot_id=key, account_id=account.id, account_number=account.number, currency=account.currency,
        statement=day.number, statement_date=day.date, state=day.state,
        ledger_balance=in_currency(ledger, account.currency), bank_balance=in_currency(bank, account.currency),
        difference=in_currency(difference, account.currency), reconciled=reconciled, entries_matched=counts.matched,
        entries_unmatched=counts.unmatched, entries_recorded=recorded, threshold_level=level,
        circuit_breaker=standing.breaker, checks=day.checks,
    )  # fmt: skip
    answer = _encode(day.closed).decode()
    await statements.judge(tx, Figures(day.number, ledger, level, counts.matched, counts.unmatched, answer))
    changes.announce(events.DAY_CLOSED, f"eod.{day.number}.complete", day.reference, day.closed)
    details = {"statement": day.number, "day": day.date, "state": day.state, "reconciled": reconciled, "snapshot": key}
    changes.note("day_closed", account.id, day.kept_as, details, day.actor)


async def _quarantine(tx: Transaction, day: Day, changes: Changes, now: datetime) -> None:
    """Raise a statement that failed, and close its day as not reconciled. Nothing moves."""
    account, closing = day.account, day.closing.signed
    failed = [found for found in day.checks if found.outcome is Outcome.FAILED]
    ledger = await statements.ledger_as_of(tx, account.id, day.number, day.date, day.cut_off)
    raised = Discrepancy(
        uuid4(), account.id, ledger, closing, Level.SIGNIFICANT, SOURCE, day.reference, now, day.kept_as,
        type=STATEMENT_QUARANTINED, subject=str(day.number),
    )  # fmt: skip
    text = "; ".join(f"{found.name}: {found.text}" for found in failed)
    changes.raised(raised, account, f"statement {day.number} of {day.date}: {text}", f"quarantine.{day.number}")
    level = judge(ledger, closing, account.policy)
    counts = matching.Counts(0, day.stated.lines)
    await _snapshot(tx, day, ledger, level, counts, 0, changes.standing(account), changes, now)


def _evidence(day: Day, now: datetime) -> Evidence:
    return Evidence("tier3", SOURCE, day.stated.heading.message_id, now, fresh=day.latest, kept_as=day.kept_as)


def _row(day: Day, now: datetime) -> StatementRow:
    heading, whole = day.stated.heading, day.statement
    opening = None if day.opening is None else day.opening.signed
    return StatementRow(
        day.number, day.account.id, day.kept_as, day.place, heading.message_id[:140], heading.notification_id,
        day.identity, day.content, heading.sequence_number, day.date, opening, day.closing.signed, whole.lines,
        whole.booked_sum, day.cut_off, day.lists_from, day.state, day.corrects, _encode(day.checks).decode(), now,
    )  # fmt: skip
