"""Takes in a statement that was quarantined: two people have said that it holds, whatever its checks say."""

from __future__ import annotations

import tempfile
from datetime import datetime
from io import BytesIO
from itertools import count
from typing import BinaryIO

import msgspec

from token_engine.domain.closed_day import StatementState
from token_engine.domain.refusal import RefusedError
from token_engine.domain.statement import Check
from token_engine.storage import parts, staging, statements
from token_engine.storage.database import Transaction
from token_engine.storage.statements import Quarantined
from token_engine.tiers.changes import Changes
from token_engine.tiers.closing_days import close_days
from token_engine.tiers.day import day_of
from token_engine.tiers.end_of_day import lock, stage

_decode_checks = msgspec.json.Decoder(tuple[Check, ...]).decode


async def release(tx: Transaction, number: int, reason: str, actors: tuple[str, str], now: datetime) -> None:
    """Close the day of quarantined statement `number` as if its checks had passed: from its message as it came, which
    is read again. Its snapshot stays, and a revision names both `actors`, first who asked.

    Raises RefusedError where it is not quarantined.
    """
    kept = await statements.quarantined(tx, number)
    if kept is None:
        raise RefusedError("not_quarantined", f"statement {number} is not quarantined", "statement_id")
    await staging.create(tx)
    with tempfile.TemporaryFile() as file:
        reading = await stage(tx, await _message(tx, kept, file), count(1))
    [stated] = [s for s in reading.statements if s.content() == kept.content][:1]
    await staging.void(tx, [s.number for s in reading.statements if s is not stated])
    await staging.analyze(tx)
    locked = await lock(tx, [kept.account_number])
    account = locked.directory.find(stated.heading, stated.currencies)
    day = day_of(stated, account, locked.calendar(account), kept.message_id, now)
    day.number, day.checks, day.state = number, _decode_checks(kept.checks), StatementState.RELEASED
    day.actor, day.reason = actors[1], f"released, asked for by {actors[0]}: {reason}"[:500]
    changes = Changes(now)
    await close_days(tx, [day], changes, now)
    await changes.write(tx)


async def _message(tx: Transaction, kept: Quarantined, file: BinaryIO) -> BinaryIO:
    if kept.raw_size == len(kept.raw):
        return BytesIO(kept.raw)
    await parts.read(tx, kept.message_id, file)
    file.seek(0)
    return file
