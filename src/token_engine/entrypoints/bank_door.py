"""Opens the accesses to banks that the database knows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from random import Random

import msgspec

from token_engine.banks.asking import AskingPolicy
from token_engine.banks.connector import Connector
from token_engine.banks.guarded import Guarded
from token_engine.banks.host_to_host import HostToHost
from token_engine.banks.settings import ConnectionSettings, open_connector
from token_engine.domain.observation import BankAccount, NoObservation, Observation, Why
from token_engine.entrypoints.bank_files import BankFiles
from token_engine.entrypoints.road import Road
from token_engine.storage.database import Database
from token_engine.storage.polling import ConnectionRow


class BankDoor:
    """Opens them; what banks deliver as files goes down `road`."""

    def __init__(self, database: Database, road: Road, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._road = road
        self._clock = clock
        self._mailboxes: dict[str, HostToHost] = {}

    def open(self, row: ConnectionRow) -> Guarded:
        """One of them. With settings that this engine cannot read it answers that, and asks nobody."""
        connector: Connector
        policy = AskingPolicy()
        try:
            settings = msgspec.json.decode(row.settings, type=ConnectionSettings)
        except msgspec.MsgspecError as wrong:
            connector = _Unreadable(row.name, str(wrong))
        else:
            files = BankFiles(row.name, self._road, self._database, self._clock)
            connector = open_connector(settings, self._clock, files.deliver, files.delivered)
            policy = settings.asking
        if isinstance(connector, HostToHost):
            self._mailboxes[row.name] = connector
        else:
            self._mailboxes.pop(row.name, None)
        return Guarded(connector, row.name, policy, self._clock, Random())  # noqa: S311 - waits, no secrets

    async def collect(self) -> None:
        """Take in what banks have left in their mailboxes since: also of accounts that nobody asks a balance of."""
        now = self._clock()
        await asyncio.gather(*(mailbox.collect(now) for mailbox in self._mailboxes.values()))


class _Unreadable:
    """An access whose settings were written by another version of the engine."""

    def __init__(self, name: str, reason: str) -> None:
        self._answer = NoObservation(why=Why.ACCESS_REFUSED, text=f"settings of connection {name}: {reason}")

    async def booked_balance(self, account: BankAccount, now: datetime) -> Observation | NoObservation:  # noqa: ARG002
        return self._answer

    async def close(self) -> None:
        pass
