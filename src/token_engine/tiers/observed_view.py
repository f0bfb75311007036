"""What is said of a balance that a bank was asked for: decimal strings in major units."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import structs

from token_engine.domain.money import in_currency
from token_engine.tiers.observing import SOURCE, Observed


def view_of(found: Observed, now: datetime) -> dict[str, Any]:
    """The judgement as the other tiers say it, and what it rests on. `observed_difference` is the bank's balance, less
    what is known to be on its way, less the ledger; `gap` is what of it no message and no expectation tells of.
    """
    account, observation, explanation = found.account, found.observation, found.explanation
    judged = structs.asdict(found.standing) if found.standing is not None else {"account_id": account.id}
    return {
        **judged,
        "account_number": account.number,
        "currency": account.currency,
        "threshold_level": found.standing.threshold_level if found.standing else found.level,
        "source": SOURCE,
        "connection": found.answered.connection,
        "poll_id": found.answered.poll_id,
        "observed_balance": in_currency(observation.balance, account.currency),
        "balance_type": observation.balance_type,
        "as_of": observation.as_of,
        "explained": in_currency(explanation.explained, account.currency),
        "explained_by": {"expectations": explanation.expected, "entries_not_in_it_yet": explanation.not_yet},
        "gap": in_currency(explanation.gap, account.currency),
        "observed_difference": in_currency(found.difference, account.currency),
        "observed_level": found.level,
        "timestamp": now,
    }
