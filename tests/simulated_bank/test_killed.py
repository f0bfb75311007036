"""kill -9 between any two lines of the bank: what it told stands in its books, and what it booked gets told."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import pytest

from token_engine.banks import simulated
from token_engine.banks.simulated import camt
from token_engine.banks.simulated.books import Books
from token_engine.banks.simulated.traffic import SimulatedBank
from token_engine.banks.simulated.words import Order

NOW = datetime(2025, 11, 18, 12, 0, tzinfo=UTC)
NUMBER = "AE070331234567890123456"
OPENING = Decimal(1000)
_LINES_OF = str(Path(simulated.__file__).parent)


def work(path: Path, tell: Any, now: datetime) -> None:
    """A payment with its fee; then a notification leaves and is marked as told; then a day is closed."""
    books = Books(path)
    books.open_accounts([(NUMBER, "AED", OPENING)], "Holder", now)
    account = books.account(NUMBER)
    assert account is not None
    payment, fee = books.book(account, [Order(amount=Decimal(-10)), Order(amount=Decimal(-1))], now)
    tell(f"booked {payment.id} {payment.amount} {fee.id} {fee.amount}")
    bank = SimulatedBank(books, [NUMBER], Random(1))
    for _ in range(3):
        notice = bank.next_notification(now)
        assert notice is not None
        tell(f"sent {notice.id} {notice.entry.id} {hash_of(camt.notification(notice))}")
        bank.told(notice, now)
    closed = books.state(account, now.date(), now)
    tell(f"closed {closed.number} {closed.day} {closed.closing} {hash_of(camt.statement(closed))}")
    books.close()


def hash_of(content: bytes) -> str:
    """The same in every process."""
    return str(sum((at + 1) * byte for at, byte in enumerate(content)))


def killed_at(line: int, path: Path, now: datetime) -> tuple[bool, list[str]]:
    """Do the work in a process that is killed before that line of the bank; was it, and what had it told?"""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            counted, times = 0, Counter[tuple[str, int]]()

            def trace(frame: FrameType, event: str, _: Any) -> Any:
                nonlocal counted
                if not frame.f_code.co_filename.startswith(_LINES_OF):
                    return None
                place = (frame.f_code.co_filename, frame.f_lineno)
                if event == "line" and times[place] < 2:  # the third time on a line is as the second
                    times[place] += 1
                    counted += 1
                    if counted == line:
                        os.kill(os.getpid(), signal.SIGKILL)
                return trace

            sys.settrace(trace)
            work(path, lambda text: os.write(writing, text.encode() + b"\n"), now)
        except BaseException as error:
            os.write(writing, f"failed {error!r}\n".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        said = told.read().decode().splitlines()
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status), said


@pytest.mark.timeout(120)
def test_nothing_told_is_lost_and_nothing_booked_stays_untold(tmp_path: Path) -> None:
    path, told, lines = tmp_path / "books.db", [], 0
    while True:  # one file all along: each process starts on what the killed one left
        lines += 1
        killed, said = killed_at(lines, path, NOW + timedelta(days=lines))
        assert not any(text.startswith("failed") for text in said), said
        told += said
        if not killed:
            break
    assert lines > 100, "it was killed in many places"

    books = Books(path)
    account = books.account(NUMBER)
    assert account is not None
    entries = {entry.id: entry for entry in books.entries(account)}
    assert books.balance(account, NOW + timedelta(days=9999)) == OPENING + sum(e.amount for e in entries.values())
    due: set[int] = set()
    sent: dict[int, tuple[int, str]] = {}
    while notice := books.next_notice():
        due.add(notice.entry.id)
        books.told(notice, NOW)
    for text in told:
        match text.split():
            case ["booked", payment, payment_amount, fee, fee_amount]:
                assert str(entries[int(payment)].amount) == payment_amount
                assert str(entries[int(fee)].amount) == fee_amount
            case ["sent", notified, entry, content]:
                assert int(entry) in entries
                assert sent.setdefault(int(notified), (int(entry), content)) == (int(entry), content), "the same bytes"
            case ["closed", number, day, closing, content]:
                again = books.state(account, datetime.fromisoformat(day).date(), NOW + timedelta(days=lines))
                assert (str(again.number), str(again.closing)) == (number, closing)
                assert hash_of(camt.statement(again)) == content, "the same bytes"
            case other:
                pytest.fail(f"{other}")
    left = {entry for entry, _ in sent.values()}
    assert left | due == set(entries), "sent, or due still"
    payments = [entry for entry in entries.values() if entry.amount == -10]
    assert all(entries[payment.id + 1].amount == -1 for payment in payments), "a payment never without its fee"
