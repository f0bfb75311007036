"""Takes in a statement that was quarantined: two people have said that it holds, whatever its checks say."""

from __future__ import annotations

from datetime import datetime
from itertools import count

import msgspec

from token_engine.domain.closed_day import StatementState
from token_engine.domain.pages import Complete
from token_engine.domain.refusal import RefusedError
from token_engine.domain.statement import Check
from token_engine.storage import staging, statements
from token_engine.storage.database import Transaction
from token_engine.tiers.changes import Changes
from token_engine.tiers.closing_days import close_days
from token_engine.tiers.day import day_of
from token_engine.tiers.end_of_day import lock
from token_engine.tiers.paging import Joined, arranged, staged
from token_engine.tiers.progress import Progress, unheard

_decode_checks = msgspec.json.Decoder(tuple[Check, ...]).decode


async def release(
    tx: Transaction, number: int, reason: str, actors: tuple[str, str], now: datetime, say: Progress = unheard
) -> None:
    """Close the day of quarantined statement `number` as if its checks had passed: from its messages as they came,
    which are read again. Its snapshot stays, and a revision names both `actors`, first who asked.

    Raises RefusedError where it is not quarantined.
    """
    kept = await statements.quarantined(tx, number)
    if kept is None:
        raise RefusedError("not_quarantined", f"statement {number} is not quarantined", "statement_id")
    await staging.create(tx)
    pages = await staged(tx, kept.where, count(1), say)
    locked = await lock(tx, [kept.account_number])
    account = locked.directory.find(pages[0].stated.heading, pages[0].stated.currencies)
    arrangement = arranged(account, [page.stated for page in pages])
    assert isinstance(arrangement, Complete)  # it was when it was quarantined
    ordered = [pages[place].stated for place in arrangement.order]
    await staging.void(tx, [page.stated.number for page in pages if page.stated not in ordered])
    stated = ordered[0] if len(ordered) == 1 else Joined(ordered)
    if isinstance(stated, Joined):
        await stated.renumber(tx)
    await staging.analyze(tx)
    day = day_of(stated, arrangement.check, account, locked.calendar(account), kept.message_id, now)
    day.number, day.checks, day.state = number, _decode_checks(kept.checks), StatementState.RELEASED
    day.actor, day.reason = actors[1], f"released, asked for by {actors[0]}: {reason}"[:500]
    changes = Changes(now)
    await close_days(tx, [day], changes, now, say)
    await changes.write(tx)
