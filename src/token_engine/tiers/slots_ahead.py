"""Puts right what a clock that ran ahead left behind: accounts that are due only when its days have come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from token_engine.domain.polling import CLOCKS_APART, LONGEST_WAIT
from token_engine.storage import polling
from token_engine.storage.database import Transaction
from token_engine.tiers.changes import Changes
from token_engine.tiers.polling import schedules_of

_APART: Final = 2 * CLOCKS_APART
"""What two engines that may ask banks can differ by."""


async def compute_anew(tx: Transaction, connections: Sequence[str], now: datetime) -> int:
    """Let accounts of these connections be due in the next slot that their budget allows, whose own lies further ahead
    than any rhythm puts it; how many.

    When a bank was really asked whose poll has a time ahead of `now`, nobody knows: not later than now, so it counts in
    the budget as asked now. The slot that it names has not been, and is free again. The slot under way is left out: the
    bank may have been asked in it.
    """
    told_ahead = now + _APART
    beyond = told_ahead + LONGEST_WAIT
    ahead = await polling.far_ahead(tx, connections, beyond, told_ahead)
    if not ahead:
        return 0
    polls, furthest = await polling.count_as_now(tx, ahead, now, told_ahead)
    rows = await polling.named(tx, ahead, now)
    schedules = await schedules_of(tx, rows)
    next_slots = [
        (row.account_id, schedules[row.account_id].due_again(row.asked, now, suspected=row.suspected)) for row in rows
    ]
    moved = await polling.bring_forward(tx, next_slots, beyond)
    if not moved and not polls:  # another engine has done it at this moment
        return 0
    changes = Changes(now)
    details = {"accounts": moved, "polls": polls, "latest_poll_was_at": furthest}
    changes.note("slots_computed_anew", None, None, details)
    await changes.write(tx)
    return moved
