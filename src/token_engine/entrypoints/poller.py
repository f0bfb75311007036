"""Asks banks for balances: whose slot has come, and whom a person asks for. What a bank said is handed to Tier 2.

As many accounts of a bank are claimed as its connection can take on, and no more: the others stay due for whoever has
room, be it another engine.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg
import psycopg_pool

from token_engine.banks.guarded import Guarded
from token_engine.domain.connector_guard import GuardState
from token_engine.domain.observation import NoObservation, Why
from token_engine.domain.polling import CLOCKS_APART
from token_engine.entrypoints.batcher import Batcher
from token_engine.storage import polling as stored
from token_engine.storage.database import Database, Transaction
from token_engine.storage.polling import ConnectionRow
from token_engine.telemetry import metrics
from token_engine.telemetry.logs import logger
from token_engine.tiers import polling, runs, slots_ahead
from token_engine.tiers.observing import Answered, Observed
from token_engine.tiers.polling import Claim, Spent

_LOOK_SECONDS: Final = 1.0
"""How late a slot may be noticed."""
_MINUTE: Final = 60.0
"""How often, in seconds, what a wrong clock left behind is looked for."""
_GRACE_SECONDS: Final = 3.0
"""How long banks that are being asked are waited for when the engine stops."""
_APART: Final = f"the engine's clock is more than {CLOCKS_APART.seconds // 60} minutes from the database's"
_log = logger()


Outcome = Observed | NoObservation | Exception


class Poller:
    """Asks the banks of one engine's database, as `name`."""

    def __init__(
        self, database: Database, clock: Callable[[], datetime],
        observations: Batcher[Answered, Observed | NoObservation], connect: Callable[[ConnectionRow], Guarded],
        name: str, reviewed: Callable[[list[dict[str, Any]]], None],
    ) -> None:  # fmt: skip
        """`connect` opens a bank; what is wrong with its settings shows in its answers. `reviewed` counts accounts that
        a run judged without asking.
        """
        self._database = database
        self._clock = clock
        self._observations = observations
        self._connect = connect
        self._name = name
        self._reviewed = reviewed
        self._banks: dict[str, _Door] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._rounds_at = 0.0
        self._minute_ends_at = 0.0
        self._clocks_agree = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """The task, which ends only by `stop`."""
        self._task = asyncio.create_task(self._run(), name="poller")
        return self._task

    async def stop(self) -> None:
        """Claim nothing more, wait a little for banks that are being asked, and let go of them."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        asking = [task for bank in self._banks.values() for task in bank.asking]
        if asking:
            _, late = await asyncio.wait(asking, timeout=_GRACE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for bank in self._banks.values():
            await bank.open.close()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def wake(self) -> None:
        """There is something to ask, now."""
        self._rounds_at = 0.0
        self._wake.set()

    def _has_room(self) -> None:
        self._wake.set()

    async def ask_now(self, ids: Sequence[UUID]) -> dict[UUID, Outcome | Spent]:
        """Ask the banks of these accounts at once, whatever their slots; what came of each of which a bank is asked."""
        now = self._clock()
        async with self._database.transaction() as tx:
            if not await self._agrees(tx):
                return {key: NoObservation(why=Why.CLOCKS_APART, text=_APART) for key in ids}
            claims, spent = await polling.claim_named(tx, ids, self._name, now)
            rows = {row.name: row for row in await stored.connections(tx)}
        for row in rows.values():
            self._open(row)
        asking = [self._banks[claim.connection].start(self, claim) for claim in claims]
        outcomes = await asyncio.gather(*asking, return_exceptions=True)  # one that fails spoils no other's answer
        found: dict[UUID, Outcome | Spent] = {one.account_id: one for one in spent}
        for claim, outcome in zip(claims, outcomes, strict=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
                raise outcome
            found[claim.account_id] = outcome
        return found

    async def _run(self) -> None:
        while True:
            try:
                more = await self._look()
            except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout) as error:
                _log.warning("The database did not answer; banks are asked once it does", reason=str(error).strip())
                more = False
            except Exception as error:
                _log.exception("Banks cannot be asked; next try in a moment", reason=str(error))
                more = False
            if not more:
                # No wait_for: in Python 3.11 it can lose the cancellation that stops us.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await self._wake.wait()
            self._wake.clear()

    async def _look(self) -> bool:
        """Claim what is due as far as there is room; whether to look again at once."""
        more = False
        now = asyncio.get_running_loop().time()
        if now >= self._rounds_at:
            more = await self._make_rounds()
            self._rounds_at = now if more else now + _LOOK_SECONDS
        if not self._clocks_agree:
            return more
        for name, bank in list(self._banks.items()):  # a person's question may open another meanwhile
            if room := bank.room:
                async with self._database.transaction() as tx:
                    # Of a bank that is not to be asked now accounts stay due; a run is told so, and does not wait.
                    told_so = not bank.open.listens()
                    claims = await polling.claim_due(
                        tx, name, room, self._name, self._clock(), of_runs=told_so
                    )  # fmt: skip
                for claim in claims:
                    self._banks[name].start(self, claim)
        return more

    async def _make_rounds(self) -> bool:
        """See to connections that are new or changed, and judge a page of a run; whether there may be another."""
        async with self._database.transaction() as tx:
            self._clocks_agree = await self._agrees(tx)
            rows = await stored.connections(tx)
        for row in rows:
            self._open(row)
        await self._look_at_clocks()
        for door in self._banks.values():
            standing = door.open.standing()
            metrics.GUARD_OPEN.labels(standing.name).set(standing.guard is not GuardState.CLOSED)
            metrics.POLLS_IN_FLIGHT.labels(standing.name).set(standing.in_flight)
        page = await runs.review_a_page(self._database, self._clock())
        if page:
            self._reviewed(page)
        return page is not None

    async def _agrees(self, tx: Transaction) -> bool:
        """Whether this engine's clock is the database's. Two engines whose clocks are days apart would each ask in
        slots of their own, and neither would see what of a bank's budget the other has spent.
        """
        return abs(self._clock() - await stored.clock(tx)) <= CLOCKS_APART

    async def _look_at_clocks(self) -> None:
        """Once a minute: say that ours is wrong, or put right what another's, or ours until now, left behind."""
        if (now := asyncio.get_running_loop().time()) < self._minute_ends_at:
            return
        self._minute_ends_at = now + _MINUTE
        if not self._clocks_agree:
            _log.error("No bank is asked", reason=_APART, clock=self._clock().isoformat())
            return
        async with self._database.transaction() as tx:
            accounts = await slots_ahead.compute_anew(tx, list(self._banks), self._clock())
        if accounts:
            _log.warning("A clock ran ahead; when banks are asked next was computed anew", accounts=accounts)

    def _open(self, row: ConnectionRow) -> None:
        """Open a connection, or anew after its settings changed; what is asked over the old one is still answered."""
        known = self._banks.get(row.name)
        if known is not None and known.set_at == row.set_at:
            return
        self._banks[row.name] = _Door(self._connect(row), row.set_at)
        if known is not None:
            leaving = asyncio.create_task(known.leave(), name=f"closing {row.name}")
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def ask(self, door: _Door, claim: Claim) -> Outcome:
        """Ask, and have the answer judged; it is written down also where the bank failed."""
        began = asyncio.get_running_loop().time()  # the clock on the wall may be set
        try:
            asked = await door.open.ask(claim.account, claim.most_requests)
        finally:
            door.unanswered -= 1
            if door.room:
                self._has_room()
        at = self._clock()
        seconds = asyncio.get_running_loop().time() - began
        metrics.POLL_SECONDS.labels(claim.connection).observe(seconds)
        if isinstance(asked.answer, NoObservation):
            _log.warning(
                "A bank gave no balance", account=claim.account.number, connection=claim.connection,
                why=asked.answer.why.value, reason=asked.answer.text,
            )  # fmt: skip
        answered = Answered(
            poll_id=claim.poll_id, account_id=claim.account_id, connection=claim.connection, answer=asked.answer,
            requests=asked.requests, at=at,
        )  # fmt: skip
        [outcome] = await self._observations.submit([answered])
        if isinstance(outcome, Observed) and outcome.drift is not None:
            _log.warning("An account drifts", **outcome.drift)
        return outcome


class _Door:
    """A bank and who is being asked there."""

    def __init__(self, bank: Guarded, set_at: datetime) -> None:
        self.open = bank
        self.set_at = set_at
        self.asking: set[asyncio.Task[Outcome]] = set()
        """Until what the bank said is committed."""
        self.unanswered = 0

    @property
    def room(self) -> int:
        """How many more to claim: twice as many as can be asked at once, so that none waits for the next look; nothing
        until half of them are through, so that each look is worth its transaction.
        """
        if self.open.standing().guard is not GuardState.CLOSED and self.open.listens():
            return 0 if self.unanswered else 1
        most = 2 * self.open.at_once
        return most - self.unanswered if self.unanswered <= most // 2 else 0

    async def leave(self) -> None:
        """Close once everybody who is being asked was answered."""
        await asyncio.gather(*self.asking, return_exceptions=True)
        await self.open.close()

    def start(self, poller: Poller, claim: Claim) -> asyncio.Task[Outcome]:
        self.unanswered += 1
        task = asyncio.create_task(poller.ask(self, claim), name=f"poll {claim.poll_id}")
        self.asking.add(task)

        def ended(done: asyncio.Task[Outcome]) -> None:
            self.asking.discard(done)
            if not done.cancelled() and (error := done.exception()) is not None:
                _log.error("Asking a bank failed", poll=claim.poll_id, exc_info=error)

        task.add_done_callback(ended)
        return task
