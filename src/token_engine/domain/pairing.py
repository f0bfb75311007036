"""Which entries are new: an entry is recorded once, whichever message brings it first (DESIGN 3.2).

Banks tell of one movement several times: a notification, its copy, reports through the day, the
statement. And they tell of several movements in the same words: two coffees, one price, one day. So
entries are paired one to one with what is known, and only the surplus is new.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import date
from typing import Final

import msgspec

from token_engine.domain.entry import Entry
from token_engine.domain.notification import MessageKind

# Shorter than this, digits alone are the entry's place in its message, not the bank's name for it.
_SHORTEST_NUMERIC_REFERENCE: Final = 6


class Sighting(msgspec.Struct, frozen=True, gc=False):
    """How one message spoke of a movement, as far as identity goes. Amount and sign are equal already."""

    kind: MessageKind
    message_id: str
    servicer_reference: str | None
    entry_reference: str | None
    booking_date: date | None
    value_date: date | None


class Movement(msgspec.Struct):
    """A movement that is recorded (or about to be), with every notification and report that told of it.

    Named by `identity` and `occurrence` within its account and amount.
    """

    identity: str
    occurrence: int
    sightings: list[Sighting]


def sighting(entry: Entry, kind: MessageKind, message_id: str) -> Sighting:
    """What `entry` says of its identity in the message `message_id`."""
    return Sighting(
        kind, message_id, entry.servicer_reference, _usable(entry.entry_reference),
        entry.booking_date, entry.value_date,
    )  # fmt: skip


def _usable(entry_reference: str | None) -> str | None:
    if entry_reference is None:
        return None
    if entry_reference.isdecimal() and len(entry_reference) < _SHORTEST_NUMERIC_REFERENCE:
        return None
    return entry_reference


def identity(entry: Entry, seen: Sighting) -> str:
    """The words under which the database keeps a movement unique, with its account and amount.

    A usable reference where there is one; else the message for a notification (two notifications
    without references are two movements), and the day for a report (which repeats what is known).
    """
    if reference := seen.servicer_reference or seen.entry_reference:
        name = f"ref {reference}"
    elif seen.kind is MessageKind.NOTIFICATION:
        name = f"msg {seen.message_id}"
    else:
        name = f"day {seen.booking_date or seen.value_date or ''}"
    return f"{entry.credit_debit} {entry.status} {name}"


def pair(
    incoming: Sequence[Sighting], known: Sequence[Movement], spoken_of: Container[int] = ()
) -> list[Movement | None]:
    """For each incoming sighting of one message, the known movement that it tells of, or None if new.

    All have the same account, amount, indicator and status. Each movement is claimed at most once.
    The closest claims are settled first, so that a vague entry never takes what a precise one needs.
    `spoken_of` are the `id()`s of movements that the message has spoken of already, in an earlier part: an
    entry without a reference is never one of them.
    """
    claims: list[Movement | None] = [None] * len(incoming)
    if not known:
        return claims
    ranked = sorted(
        (closeness, place, order)
        for place, seen in enumerate(incoming)
        for order, movement in enumerate(known)
        if (closeness := _closeness(seen, movement)) is not None and not (id(movement) in spoken_of and _bare(seen))
    )
    held: dict[int, int] = {}
    holder: dict[int, int] = {}
    for _, place, order in ranked:
        if place not in held and order not in holder:
            held[place], holder[order] = order, place
    if len(held) < len(incoming) and len(holder) < len(known):
        _make_room(ranked, held, holder)
    for place, order in held.items():
        claims[place] = known[order]
    return claims


def _make_room(ranked: Sequence[tuple[int, int, int]], held: dict[int, int], holder: dict[int, int]) -> None:
    """Let entries move to other movements that they could be, as long as that lets one more have one.

    Without this, an entry that could be either of two would take the only one that another could be,
    and the other would be recorded a second time. (Augmenting paths: Berge, 1957.)
    """
    wishes: dict[int, list[int]] = {}
    for _, place, order in ranked:
        wishes.setdefault(place, []).append(order)
    barren: set[int] = set()
    for left_out in [place for place in wishes if place not in held]:
        wished_by: dict[int, int] = {}
        to_ask = [left_out]
        for place in to_ask:
            for order in wishes[place]:
                if order in wished_by or order in barren:
                    continue
                wished_by[order] = place
                if order in holder:
                    to_ask.append(holder[order])
                    continue
                _hand_on(order, wished_by, held, holder)
                to_ask.clear()
                break
        if left_out not in held:
            barren |= wished_by.keys()


def _hand_on(free: int, wished_by: dict[int, int], held: dict[int, int], holder: dict[int, int]) -> None:
    """Give the free movement to who wishes it, what that one held to who wishes that, and so on."""
    order: int | None = free
    while order is not None:
        place = wished_by[order]
        order_before = held.get(place)
        held[place], holder[order] = order, place
        order = order_before


def _closeness(seen: Sighting, movement: Movement) -> int | None:
    """0 is closest; None means that they cannot be the same movement."""
    best: int | None = None
    notified = [s for s in movement.sightings if s.kind is MessageKind.NOTIFICATION]
    # A movement already notified is told of by another notification only if that is the same one again.
    against = notified if notified and seen.kind is MessageKind.NOTIFICATION else movement.sightings
    for known in against:
        references = _references_agree(seen, known)
        dates = _dates_agree(seen, known)
        if references is False or dates is False:
            return None
        both_notify = seen.kind is known.kind is MessageKind.NOTIFICATION
        if references is None and both_notify and not _same_bare_message(seen, known):
            continue
        closeness = (0 if references else 2) + (0 if dates else 1)
        best = closeness if best is None else min(best, closeness)
    return best


def _same_bare_message(a: Sighting, b: Sighting) -> bool:
    """Neither has a reference, and they came under one message id: the same notification, sent again."""
    return _bare(a) and _bare(b) and a.message_id == b.message_id


def _bare(seen: Sighting) -> bool:
    return not (seen.servicer_reference or seen.entry_reference)


def _references_agree(a: Sighting, b: Sighting) -> bool | None:
    """None where the two have no kind of reference in common."""
    if a.servicer_reference and b.servicer_reference:
        return a.servicer_reference == b.servicer_reference
    if a.entry_reference and b.entry_reference:
        return a.entry_reference == b.entry_reference
    return None


def _dates_agree(a: Sighting, b: Sighting) -> bool | None:
    """True on a date in common, False on a date that differs, None where there is nothing to compare."""
    agreed: bool | None = None
    for one, other in ((a.booking_date, b.booking_date), (a.value_date, b.value_date)):
        if one and other:
            if one != other:
                return False
            agreed = True
    return agreed
