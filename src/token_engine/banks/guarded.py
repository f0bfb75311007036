"""Asking a bank as a good client: never too many at once or too fast, again only where that may help, and not at all
while it asked for a pause or its guard is open.

Time is the event loop's, so that a test with a loop of its own owns every wait; what a clock on the wall says goes to
the connector only. stamina, which retries elsewhere, retries exceptions; here what went wrong is a result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from token_engine.banks.asking import Asked, AskingPolicy, Standing
from token_engine.banks.connector import Connector
from token_engine.domain.connector_guard import (
    Guard,
    GuardState,
    Permit,
    abandoned,
    ask,
    heard,
    waits,
)
from token_engine.domain.observation import MAY_HELP_TO_ASK_AGAIN, BankAccount, NoObservation, Observation, Why
from token_engine.telemetry.logs import logger

_log = logger()

_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 15.0
"""Seconds between a request and the next one for the same account: doubled each time up to this, less a random part
of up to a half, so that accounts that failed together do not come again together."""
_LONGEST_PAUSE: Final = timedelta(hours=1)
"""A bank is asked again after an hour whatever it said: it may have meant one account, and stops all of them."""
_TICK: Final = 1e-6
_CATCHES_UP: Final = 0.05
"""Seconds that a request may come late, by a busy loop, without slowing down those behind it."""
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Guarded:
    """The connector of one access to one bank, shared by all who ask it in this process."""

    def __init__(
        self, connector: Connector, name: str, policy: AskingPolicy, clock: Callable[[], datetime], random: Random
    ) -> None:
        """`name` is that of the connection. `clock` gives the time with a zone."""
        self._connector = connector
        self._name = name
        self._policy = policy
        self.at_once = policy.at_once
        """How many requests the bank bears at a time."""
        self._clock = clock
        self._random = random
        self._places = asyncio.Semaphore(policy.at_once)
        self._turns = asyncio.Lock()
        self._interval = 60 / policy.requests_a_minute
        self._next_turn = 0.0
        self._paused_until = 0.0
        self._guard = Guard()
        self._in_flight = 0

    async def ask(self, account: BankAccount, most_requests: int | None = None) -> Asked:
        """Ask for the account's booked balance, several times if need be, and `most_requests` times at most.

        It waits for its turn as long as it takes; who has no time for that cancels it, and nothing stays behind. A
        pause that ends too late is not waited for: the answer says how long it is (`retry_after`).
        """
        loop = asyncio.get_running_loop()
        assert most_requests is None or most_requests > 0, "an account without a budget is not asked"
        most = self._policy.most_requests if most_requests is None else min(most_requests, self._policy.most_requests)
        deadline: float | None = None
        answer: Observation | NoObservation | None = None
        requests = 0
        if (refusal := self._refusal(deadline)) is not None:  # said before the queue
            return Asked(answer=refusal, requests=0)
        while True:
            async with self._places:
                if (refusal := await self._turn(deadline)) is not None:
                    # Once the bank has said something, that says more than why it was not asked again.
                    return Asked(answer=refusal if answer is None else answer, requests=requests)
                if deadline is None:
                    deadline = loop.time() + self._policy.total_seconds
                requests += 1
                answer = await self._request(account, deadline)
                wait = self._wait(answer, requests)
            if (
                wait is None
                or requests >= most
                or loop.time() + wait >= deadline
                or self._refusal(deadline) is not None
            ):
                return Asked(answer=answer, requests=requests)
            await asyncio.sleep(wait)

    def listens(self) -> bool:
        """Whether asking now would reach the bank: it has asked for no pause, and the guard lets one through."""
        return self._refusal(None) is None

    def standing(self) -> Standing:
        """How it stands; called in the event loop."""
        paused = max(0.0, self._paused_until - asyncio.get_running_loop().time())
        return Standing(
            name=self._name, guard=self._guard.state, in_flight=self._in_flight, paused=timedelta(seconds=paused)
        )

    async def close(self) -> None:
        """Let go of the connector's connections. It is not asked again."""
        await self._connector.close()

    def _refusal(self, deadline: float | None) -> NoObservation | None:
        """Why the bank is not asked now, nor until the deadline; None: it is, perhaps after a wait."""
        loop = asyncio.get_running_loop()
        pause = waits(self._guard, self._steady())
        if pause is not None:
            text = f"the bank failed {self._guard.failures} times in a row; it is asked again in {pause.seconds} s"
            return NoObservation(why=Why.GUARD_OPEN, text=text if pause else "the bank failed; one request tries it")
        paused = self._paused_until - loop.time()
        if paused > 0 and self._paused_until >= (deadline or loop.time() + self._policy.total_seconds):
            text = "the bank asked for a pause (Retry-After)"
            return NoObservation(why=Why.THROTTLED, text=text, retry_after=timedelta(seconds=paused))
        return None

    async def _turn(self, deadline: float | None) -> NoObservation | None:
        """Wait until the bank may be asked, one after the other; or say why it may not."""
        loop = asyncio.get_running_loop()
        queued = self._turns.locked()
        async with self._turns:
            while (refusal := self._refusal(deadline)) is None:
                due = max(self._next_turn, self._paused_until)
                early = due - loop.time()
                if early <= _TICK:
                    late = min(-early, _CATCHES_UP) if queued else 0.0
                    self._next_turn = loop.time() - max(late, 0.0) + self._interval
                    return None
                queued = True
                await asyncio.sleep(early)
            return refusal

    async def _request(self, account: BankAccount, deadline: float) -> Observation | NoObservation:
        self._guard, permit = ask(self._guard, self._steady())
        assert permit is not None  # _turn has looked, and nothing was waited for since
        answer: Observation | NoObservation | None = None
        self._in_flight += 1
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self._connector.booked_balance(account, self._clock())
        except TimeoutError:
            answer = NoObservation(why=Why.TIMED_OUT, text="no answer in the time that the connection allows")
        finally:
            self._in_flight -= 1
            if answer is None:
                self._guard = abandoned(self._guard, permit, self._steady())
            else:
                self._hear(permit, answer.why if isinstance(answer, NoObservation) else None)
        return answer

    def _wait(self, answer: Observation | NoObservation, requests: int) -> float | None:
        """Seconds until it may help to ask again; None: it will not. What the bank said of a pause holds for all."""
        if isinstance(answer, Observation) or answer.why not in MAY_HELP_TO_ASK_AGAIN:
            return None
        wait: float = min(_FIRST_WAIT * 2 ** min(requests - 1, 9), _LONGEST_WAIT) * self._random.uniform(0.5, 1)
        pause = 0.0
        if answer.retry_after is not None and answer.why in (Why.THROTTLED, Why.SERVER_ERROR):
            pause = min(answer.retry_after, _LONGEST_PAUSE).total_seconds()
        elif answer.why is Why.THROTTLED:
            pause = wait
        if pause > 0:
            self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + pause)
        return max(wait, pause)

    def _hear(self, permit: Permit, why: Why | None) -> None:
        before = self._guard
        after = self._guard = heard(before, permit, why, self._steady(), self._policy.guard)
        if after.state is before.state:
            return
        if after.state is GuardState.OPEN:
            _log.warning("connector guard open", connection=self._name, why=why, pause_seconds=after.pause.seconds)
        else:
            _log.info("connector guard closed", connection=self._name)

    def _steady(self) -> datetime:
        """A time that is never set back, for the guard."""
        return _BEGINNING + timedelta(seconds=asyncio.get_running_loop().time())
