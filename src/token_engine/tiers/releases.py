"""Releasing a quarantined statement: a request, and a second person's approval (docs/adr/0015).

Each act is under the account's lock. What is refused changes nothing and is audited: that somebody tried is news.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import structs

from token_engine.domain.account import Account
from token_engine.domain.closed_day import StatementState
from token_engine.domain.closing import LIFETIME
from token_engine.domain.person import check_actor, same_person
from token_engine.domain.refusal import Refusal, RefusedError
from token_engine.domain.release import (
    ReleaseStep,
    ReleaseTold,
    pending,
    why_not_approve,
    why_not_request,
)  # fmt: skip
from token_engine.domain.text import REASON_LENGTH, check_text
from token_engine.storage import positions
from token_engine.storage import statement_story as stored
from token_engine.storage.database import Transaction
from token_engine.tiers import events, released_day, statement_story
from token_engine.tiers.changes import Changes

Releasing = Callable[[Transaction, int, str, tuple[str, str], datetime], Awaitable[object]]
"""Puts a quarantined statement in force: its number, why, and the two persons, first who asked. Under the account's
lock; raises RefusedError where it cannot be done, and then nothing of it is.
"""


class ReleaseAct(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a person says who asks to release a statement, or approves."""

    actor: str
    reason: str

    def checked(self) -> ReleaseAct:
        """With the blanks around its words gone. Raises RefusedError."""
        return ReleaseAct(actor=check_actor(self.actor), reason=check_text(self.reason, "reason", REASON_LENGTH))


async def request(tx: Transaction, number: int, said: ReleaseAct, now: datetime) -> dict[str, Any] | Refusal:
    """Ask to release statement `number`; its view. It waits a day for a second person.

    The same person asking again in the same words is answered with what waits. Raises RefusedError, as `approve`
    does, for words that cannot be and a statement that is not there.
    """
    act = said.checked()
    account, state, story = await _locked(tx, number)
    refusal = why_not_request(state, story, act.actor, act.reason, now)
    if refusal is not None:
        return await _refused(tx, account, number, act, refusal, now)
    if pending(story, now) is None:
        expires_at = now + LIFETIME
        await stored.request(tx, number, act.actor, act.reason, now, expires_at)
        await _tell(tx, account, number, events.RELEASE_REQUESTED, act, now, {"expires_at": expires_at})
    return await _view(tx, number, now)


async def approve(
    tx: Transaction, number: int, said: ReleaseAct, now: datetime, releasing: Releasing
) -> dict[str, Any] | Refusal:
    """Release statement `number` as the second person; its view. Approving again what one approved changes nothing."""
    act = said.checked()
    account, state, story = await _locked(tx, number)
    last = story[-1] if story else None
    if last is not None and last.act is ReleaseStep.APPROVED and same_person(last.actor, act.actor):
        return await _view(tx, number, now)  # the answer was lost on its way
    refusal = why_not_approve(state, story, act.actor, now)
    if refusal is not None:
        return await _refused(tx, account, number, act, refusal, now)
    asked = pending(story, now)
    assert asked is not None  # or it would have been refused
    await stored.approve(tx, number, asked, act.actor, act.reason, now)
    more = {"requested_by": asked.actor, "requested_because": asked.reason}
    await _tell(tx, account, number, events.RELEASE_APPROVED, act, now, more)
    await releasing(tx, number, asked.reason, (asked.actor, act.actor), now)
    return await _view(tx, number, now)


async def _locked(tx: Transaction, number: int) -> tuple[Account, StatementState, list[ReleaseTold]]:
    found = await stored.state(tx, number) if 0 < number < 2**63 else None
    if found is None:
        raise RefusedError("unknown_statement", f"no statement {number} is known here", "statement_id")
    [account] = await positions.lock_ids(tx, [found[0]])
    again = await stored.state(tx, number)  # statements after the lock see what it waited for
    assert again is not None  # none is ever deleted
    return account, again[1], await stored.story(tx, number)


async def _tell(
    tx: Transaction, account: Account, number: int, subject: str, act: ReleaseAct, now: datetime, more: dict[str, Any]
) -> None:
    changes, word = Changes(now), subject.rpartition(".")[2]
    said = {"statement": number, "actor": act.actor, "reason": act.reason, **more}
    named = {"account_id": account.id, "account_number": account.number}
    changes.announce(subject, f"statement.{number}.{word}.{now:%Y%m%dT%H%M%S.%f}", None, named | said)
    changes.note(f"statement_{word}", account.id, None, said, act.actor)
    await changes.write(tx)


async def _refused(
    tx: Transaction, account: Account, number: int, act: ReleaseAct, refusal: Refusal, now: datetime
) -> Refusal:
    changes = Changes(now)
    details = {"statement": number, "reason": act.reason, **structs.asdict(refusal)}
    changes.note("statement_release_refused", account.id, None, details, act.actor)
    await changes.write(tx)
    return refusal


async def _view(tx: Transaction, number: int, now: datetime) -> dict[str, Any]:
    view = await statement_story.show(tx, number, now)
    assert view is not None  # it was found above
    return view


RELEASING: Final[Releasing] = released_day.release
"""What doors pass to `approve`."""
