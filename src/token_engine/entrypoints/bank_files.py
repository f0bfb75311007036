"""Files that a bank delivers host to host, on their way down the road: what `HostToHost` hands them to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from token_engine.banks.mailbox import ListedFile
from token_engine.domain.receipt import Rejected
from token_engine.entrypoints.road import Road
from token_engine.storage import bank_files
from token_engine.storage.database import Database
from token_engine.telemetry.logs import logger
from token_engine.tiers.delivery import Door
from token_engine.tiers.intake import file_deliveries

_log = logger()


class BankFiles:
    """The files of one connection, which `connection` names in the database."""

    def __init__(self, connection: str, road: Road, database: Database, clock: Callable[[], datetime]) -> None:
        self._connection = connection
        self._road = road
        self._database = database
        self._clock = clock

    async def deliver(self, file: ListedFile, path: Path) -> None:
        """Take in every message in the file, and then keep that it was: an engine that dies between the two does it
        again, and each message is recognised. What is refused is kept with its reason, and done. Raises what nothing
        came of a message for.
        """
        handed_in = await asyncio.to_thread(file_deliveries, path, Door.FILE, file.shown, self._clock())
        outcomes = await self._road.submit(handed_in)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
            if isinstance(outcome, Rejected):
                why = outcome.refusal.message
                _log.warning("A bank's file was rejected", file=file.shown, kept_as=outcome.kept_as, reason=why)
        async with self._database.transaction() as tx:
            await bank_files.keep(
                tx, self._connection, file.identity, file.shown, file.size, file.modified_at, self._clock()
            )

    async def delivered(self, files: Sequence[ListedFile]) -> set[ListedFile]:
        """Those of the files that were delivered before."""
        by_identity = {file.identity: file for file in files}
        async with self._database.transaction() as tx:
            known = await bank_files.known(tx, self._connection, list(by_identity))
        return {by_identity[identity] for identity in known}
