"""What a batch of messages comes to: decided in memory, message by message, then written in one go."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid4

import msgspec

from token_engine.domain.account import Account
from token_engine.domain.backing import statement_overdue
from token_engine.domain.entry import Entry, ReversalSign, signed_amount
from token_engine.domain.known import Admission, KnownMovements, NewEntry
from token_engine.domain.ledger import Mode
from token_engine.domain.meeting import Backing, Expectations, Meeting
from token_engine.domain.money import EXACT, sum_exactly
from token_engine.domain.notification import Heading, MessageKind, Notification
from token_engine.domain.receipt import AlreadyRecorded, Judgement, Receipt, Recorded, Rejected
from token_engine.domain.refusal import Refusal
from token_engine.domain.standing import Evidence, Standing
from token_engine.storage import entries, meetings, recording
from token_engine.storage.database import Transaction
from token_engine.storage.entries import EntryRow, SightingRow
from token_engine.storage.messages import MessageBook, Settled
from token_engine.tiers.acceptance import Directory, accept, check_position_fits
from token_engine.tiers.announced import announce_meeting
from token_engine.tiers.changes import Changes
from token_engine.tiers.delivery import Delivery
from token_engine.tiers.settled import rejected, settled

_SOURCE: Final = {
    MessageKind.NOTIFICATION: "CAMT_054",
    MessageKind.REPORT: "CAMT_052",
    MessageKind.STATEMENT: "CAMT_053",
}
_encode = msgspec.json.Encoder().encode


class Decision:
    """Takes messages one after the other; afterwards holds all rows that they come to."""

    def __init__(
        self,
        directory: Directory,
        book: MessageBook,
        movements: KnownMovements,
        expectations: Expectations,
        now: datetime,
    ) -> None:
        self._directory = directory
        self._book = book
        self._movements = movements
        self._expectations = expectations
        self._now = now
        self._seen: dict[bytes, Receipt] = {}
        self._settled: list[Settled] = []
        self._entries: list[EntryRow] = []
        self._sightings: list[SightingRow] = []
        self._met: list[tuple[UUID, Meeting]] = []
        self._changes = Changes(now)

    def settle(self, delivery: Delivery, reading: tuple[Notification, ...] | Refusal) -> Receipt:
        """Decide one message: recorded, recorded already, or rejected."""
        earlier = self._seen.get(delivery.digest)
        if earlier is not None:
            return earlier if isinstance(earlier, Rejected) else _again(earlier)
        kept = self._book.kept.get(delivery.digest)
        if kept is not None and kept.answer is not None:
            answer = _decode_answer(kept.answer)
            receipt: Receipt = AlreadyRecorded(kept.id, answer.message_id, answer.judgements)
        else:
            receipt = self._decide(delivery, reading, kept.id if kept else self._book.fresh_ids[delivery.digest])
        self._seen[delivery.digest] = receipt
        return receipt

    def _decide(self, delivery: Delivery, reading: tuple[Notification, ...] | Refusal, kept_as: int) -> Receipt:
        if isinstance(reading, Refusal):
            return self._reject(delivery, kept_as, None, reading)
        message_id = reading[0].heading.message_id
        accounts = accept(reading, self._directory, delivery.source, self._now)
        if isinstance(accounts, Refusal):
            return self._reject(delivery, kept_as, message_id, accounts)
        standings = [self._changes.standing(account) for account in accounts]
        told: dict[Standing, list[Entry]] = {}
        for notification, standing in zip(reading, standings, strict=True):
            told.setdefault(standing, []).extend(notification.entries)
        for standing, all_entries in told.items():
            if overflow := check_position_fits(standing.bank, standing.account.ledger, all_entries):
                return self._reject(delivery, kept_as, message_id, overflow)
        return self._take(delivery, kept_as, message_id, reading, standings)

    def _take(
        self, delivery: Delivery, kept_as: int, message_id: str,
        notifications: tuple[Notification, ...], standings: list[Standing],
    ) -> Receipt:  # fmt: skip
        judgements = []
        news = False
        # A report may state again what an earlier report of the same message states.
        several = len(notifications) > 1 and notifications[0].heading.kind is MessageKind.NOTIFICATION
        spoken_of = set[int]() if several else None
        for number, (notification, standing) in enumerate(zip(notifications, standings, strict=True)):
            heading = notification.heading
            admission = self._movements.admit(
                standing.account.id, notification.entries, heading.kind, heading.message_id,
                copy=heading.copy, spoken_of=spoken_of,
            )  # fmt: skip
            moved = self._moved(admission, heading.reversal_sign(standing.account.reversal_sign))
            change = sum_exactly(change for _, change in moved)
            met = self._meet(standing, moved, change)
            self._keep_entries(admission, heading, standing.account, kept_as, moved, met)
            told_nothing_new = not (admission.new or admission.claims)
            if told_nothing_new and notification.entries and heading.kind is MessageKind.NOTIFICATION:
                judgements.append(standing.judgement())
                continue
            news = True
            evidence = Evidence("tier1", _SOURCE[heading.kind], heading.message_id, self._now, kept_as=kept_as)
            judgement, step = standing.take(change, len(admission.new), evidence, uuid4)
            judgements.append(judgement)
            event_id = f"{delivery.digest.hex()[:32]}.{number}"
            self._changes.judged(judgement, step, evidence, event_id, kept_as)
            for meeting in met:
                announce_meeting(self._changes, meeting, standing.account, evidence)
        answer = tuple(judgements)
        self._settled.append(
            settled(delivery, kept_as, self._now, "RECORDED", message_id,
                     answer=_encode(_Answer(message_id, answer)).decode())
        )  # fmt: skip
        return Recorded(kept_as, message_id, answer) if news else AlreadyRecorded(kept_as, message_id, answer)

    @staticmethod
    def _moved(admission: Admission, sign: ReversalSign) -> list[tuple[NewEntry, Decimal]]:
        """What is new, with what it adds to the position."""
        return [(n, signed_amount(n.entry, sign) if n.entry.booked else Decimal(0)) for n in admission.new]

    def _meet(self, standing: Standing, moved: list[tuple[NewEntry, Decimal]], change: Decimal) -> list[Meeting]:
        """What the entries of one notification meet; the ledger has moved by it, before the account is judged."""
        if not self._expectations:
            return []
        account = standing.account
        backing = Backing(
            account.ledger, EXACT.add(standing.bank, change), standing.breaker,
            stale=statement_overdue(account.statement_missing_since, self._now, account.policy),
        )  # fmt: skip
        met = self._expectations.meet(account.id, moved, backing, self._now)
        if met:
            standing.issue(sum_exactly(meeting.issued for meeting in met))
            self._met += [(account.id, meeting) for meeting in met]
        return met

    def _keep_entries(
        self, admission: Admission, heading: Heading, account: Account, kept_as: int,
        moved: list[tuple[NewEntry, Decimal]], meetings: list[Meeting],
    ) -> None:  # fmt: skip
        """Rows for what is new, and for what is told of what was known."""
        met = {id(m.entry) for m in meetings}
        ours = account.mode is Mode.ENGINE
        for new, change in moved:
            e = new.entry
            unexpected = ours and change > 0 and id(new) not in met
            self._entries.append(
                EntryRow(
                    account.id, kept_as, heading.kind, heading.message_id, e.amount, e.credit_debit, e.status,
                    e.reversal, change, e.booking_date, e.value_date, e.servicer_reference, e.entry_reference,
                    e.end_to_end_id, e.uetr, e.instruction_id, e.transaction_id, new.identity, new.occurrence,
                    unexpected,
                )
            )  # fmt: skip
        for claim in admission.claims:
            seen, movement = claim.sighting, claim.movement
            self._sightings.append(
                SightingRow(
                    account.id, claim.amount, claim.identity, movement.identity, movement.occurrence, kept_as,
                    heading.kind, heading.message_id, seen.servicer_reference, seen.entry_reference,
                    seen.booking_date, seen.value_date,
                )
            )  # fmt: skip

    def _reject(self, delivery: Delivery, kept_as: int, message_id: str | None, refusal: Refusal) -> Receipt:
        self._settled.append(settled(delivery, kept_as, self._now, "REJECTED", message_id, refusal=refusal))
        return rejected(self._changes, delivery, kept_as, message_id, refusal)

    @property
    def unwritten(self) -> int:
        """How many settled messages are not sent yet."""
        return len(self._settled)

    async def write_part(self, tx: Transaction) -> None:
        """Send what the messages settled since the last part add: rows that nothing later changes."""
        await recording.record(tx, self._settled, self._entries, self._changes.take_events())
        self._settled, self._entries = [], []
        await self._write_met(tx)

    async def write(self, tx: Transaction) -> None:
        """Send all that is not sent yet, and what all messages together come to."""
        await self._changes.write(tx, self._settled, self._entries)
        await self._write_met(tx)
        if self._sightings:
            await entries.insert_sightings(tx, self._sightings)

    async def _write_met(self, tx: Transaction) -> None:
        if self._met:
            await meetings.write(tx, self._met, self._now)
            self._met = []


class _Answer(msgspec.Struct, frozen=True):
    """What is kept in bank_messages.answer."""

    message_id: str
    judgements: tuple[Judgement, ...]


_decode_answer = msgspec.json.Decoder(_Answer).decode


def _again(receipt: Recorded | AlreadyRecorded) -> AlreadyRecorded:
    return AlreadyRecorded(receipt.kept_as, receipt.message_id, receipt.judgements)
