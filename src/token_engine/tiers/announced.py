"""What is told of an entry that met what was expected, whichever tier brought the entry."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from token_engine.domain.account import Account
from token_engine.domain.backing import Level
from token_engine.domain.discrepancy import FUNDING_AMOUNT_DIFFERS, PAYOUT_AMOUNT_DIFFERS, RETURN_AMOUNT_DIFFERS
from token_engine.domain.meeting import Meeting, Met
from token_engine.domain.money import in_currency
from token_engine.domain.standing import Discrepancy, Evidence
from token_engine.tiers import events
from token_engine.tiers.changes import Changes

_DIFFERS: Final = {
    Met.FUNDING: FUNDING_AMOUNT_DIFFERS,
    Met.PAYOUT: PAYOUT_AMOUNT_DIFFERS,
    Met.PAYOUT_RETURN: RETURN_AMOUNT_DIFFERS,
}


def announce_meeting(changes: Changes, met: Meeting, account: Account, evidence: Evidence) -> None:
    """The events of a movement and of what it ended, and the discrepancy where the bank booked another amount.

    No audit row: nobody but the bank did anything, and entry, movement and meeting are three rows for ever.
    """
    moved, came_to = events.met(met, account, evidence.at)
    event_id = f"movement.{met.number}"
    changes.announce(moved[0], event_id, evidence.source_reference, moved[1])
    changes.announce(came_to[0], f"{event_id}.met", evidence.source_reference, came_to[1])
    if met.booked == met.expected:
        return
    expected, booked = (in_currency(amount, account.currency) for amount in (met.expected, met.booked))
    found = Discrepancy(
        uuid4(), account.id, met.expected, met.booked, Level.MINOR, evidence.source_system,
        evidence.source_reference, evidence.at, evidence.kept_as,
        type=_DIFFERS[met.met], subject=str(met.expectation),
    )  # fmt: skip
    text = f"{met.met} {met.expectation}: {expected} expected, {booked} booked"
    changes.raised(found, account, text, event_id)
