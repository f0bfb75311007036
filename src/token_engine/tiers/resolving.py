"""What becomes of a discrepancy whose ground is gone: resolved with the evidence, or a person's (docs/adr/0010)."""

from __future__ import annotations

from msgspec import structs

from token_engine.domain.account import Account
from token_engine.domain.discrepancy import Happening, Told
from token_engine.domain.person import ENGINE
from token_engine.domain.standing import Discrepancy
from token_engine.storage.calendars import Missing
from token_engine.storage.unresolved import Unresolved
from token_engine.tiers.changes import Changes


def resolve(
    changes: Changes, account: Account, known: Unresolved | Missing, last: Discrepancy, text: str, event_id: str
) -> None:  # fmt: skip
    """Resolve it with these last figures; `text` says by what evidence. Where that is a person's (the policy's
    `auto_resolve` is off, or a person took it up again), it is kept and told, once, since when its ground is gone.
    """
    if account.policy.auto_resolve and not known.reopened:
        changes.resolved(structs.replace(last, resolution=text), account, known.assignee, event_id)
    elif known.gone_since is None:
        gone = structs.replace(last, gone_since=last.at)
        changes.gone(gone, told(gone, Happening.DIFFERENCE_GONE, text, known.assignee))


def keep(changes: Changes, known: Unresolved, found: Discrepancy, text: str) -> None:
    """Its ground is there, with these figures; told where it had been gone."""
    if known.gone_since is None:
        changes.updated(found)
    else:
        changes.returned(found, told(found, Happening.DIFFERENCE_RETURNED, text, known.assignee))


def told(found: Discrepancy, happening: Happening, text: str, assignee: str | None) -> Told:
    """What the engine found, as a line of its story."""
    return Told(
        discrepancy_id=found.id, type=found.type, happening=happening, at=found.at, actor=ENGINE,
        severity=found.severity, text=text, ledger=found.ledger, bank=found.bank, assignee=assignee,
    )  # fmt: skip
