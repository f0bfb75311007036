"""Raises, keeps and resolves POSITION_DIFFERS: the bank's own balance is not what its messages add up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from msgspec import structs

from token_engine.domain.backing import Level
from token_engine.domain.discrepancy import POSITION_DIFFERS
from token_engine.domain.money import EXACT, in_currency
from token_engine.domain.standing import Discrepancy
from token_engine.storage import unresolved
from token_engine.storage.database import Transaction
from token_engine.storage.observing import Facts
from token_engine.tiers import resolving
from token_engine.tiers.changes import Changes

if TYPE_CHECKING:
    from token_engine.tiers.observing import Observed


async def settle_differing(
    tx: Transaction, changes: Changes, judged: Sequence[Observed], before: Mapping[UUID, Facts], now: datetime
) -> None:
    """Open one where the balance shows what no message told of, twice running or badly: a notification that is a moment
    late is none. Resolve it when an observation is explained.
    """
    ids = {o.account.id for o in judged}
    known = {row.account_id: row for row in await unresolved.of_types(tx, ids, [POSITION_DIFFERS])}
    for one in {o.account.id: o for o in judged}.values():  # of several of one account the last
        gap, open_one = one.explanation.gap, known.get(one.account.id)
        if open_one is not None:
            if gap:
                resolving.keep(changes, open_one, _discrepancy(one, now, open_one.id), _text(one, gap))
            else:
                last = structs.replace(_discrepancy(one, now, open_one.id), severity=open_one.severity)
                text = f"the bank's balance is explained by poll {one.answered.poll_id}"
                resolving.resolve(changes, one.account, open_one, last, text, f"differing.{open_one.id}.gone")
        elif gap and (one.level is not Level.OK or gap * before[one.account.id].gap > 0):
            raised = _discrepancy(one, now, uuid4())
            changes.raised(raised, one.account, _text(one, gap), f"differing.{raised.id}")


def _text(one: Observed, gap: Decimal) -> str:
    observation, currency = one.observation, one.account.currency
    return (
        f"the bank's {observation.balance_type} balance of {observation.as_of:%Y-%m-%dT%H:%M:%SZ} is"
        f" {in_currency(observation.balance, currency)}: {in_currency(gap, currency)} of it no message told of"
    )


def _discrepancy(one: Observed, now: datetime, key: UUID) -> Discrepancy:
    seen = EXACT.subtract(one.observation.balance, one.explanation.explained)
    position = EXACT.subtract(seen, one.explanation.gap)
    severity: Level = Level.MINOR if one.level is Level.OK else one.level
    return Discrepancy(
        key, one.account.id, position, seen, severity, "BANK_API",
        f"poll {one.answered.poll_id} of {one.answered.connection}"[:100], now, None, type=POSITION_DIFFERS,
    )  # fmt: skip
