"""A bank for simulations in virtual time: it takes notes of every request, and answers by a script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from token_engine.banks.asking import AskingPolicy
from token_engine.banks.guarded import Guarded
from token_engine.domain.observation import BankAccount, NoObservation, Observation

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
ACCOUNT = BankAccount(number="AE070331234567890123456", currency="AED")
FINE = Observation(balance=Decimal("100.00"), currency="AED", as_of=START, balance_type="interimBooked")
Answer = Observation | NoObservation


def clock() -> datetime:
    return START + timedelta(seconds=asyncio.get_running_loop().time())


class BankInTime:
    """Answers what `script` says for a request at that second, after as many seconds as it says."""

    def __init__(self, script: Callable[[float], tuple[float, Answer]]) -> None:
        self.script = script
        self.asked_at: list[float] = []
        self.answered: list[tuple[float, Answer]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.closed = False

    async def booked_balance(self, account: BankAccount, now: datetime) -> Answer:
        at = asyncio.get_running_loop().time()
        assert now == START + timedelta(seconds=at)
        self.asked_at.append(at)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            takes, answer = self.script(at)
            await asyncio.sleep(takes)
            self.answered.append((asyncio.get_running_loop().time(), answer))
            return answer
        finally:
            self.in_flight -= 1

    async def close(self) -> None:
        self.closed = True


def guarded(bank: BankInTime, policy: AskingPolicy, seed: int = 1) -> Guarded:
    return Guarded(bank, "bank-1", policy, clock, Random(seed))
