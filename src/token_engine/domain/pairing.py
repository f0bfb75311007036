"""Which entries are new: an entry is recorded once, whichever message brings it first (DESIGN 3.2).

Banks tell of one movement several times: a notification, its copy, reports through the day, the
statement. And they tell of several movements in the same words: two coffees, one price, one day. So
entries are paired one to one with what is known, and only the surplus is new.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import date
from itertools import chain
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
        kind, message_id, entry.servicer_reference, usable_reference(entry.entry_reference),
        entry.booking_date, entry.value_date,
    )  # fmt: skip


def usable_reference(entry_reference: str | None) -> str | None:
    """The account owner's reference of an entry, unless it is only the entry's place in its message."""
    if entry_reference is None:
        return None
    if entry_reference.isdecimal() and len(entry_reference) < _SHORTEST_NUMERIC_REFERENCE:
        return None
    return entry_reference


def identity(entry: Entry, seen: Sighting) -> str:
    """The words under which the database keeps a movement unique, with its account and amount."""
    reference = seen.servicer_reference or seen.entry_reference
    day = seen.booking_date or seen.value_date
    return identity_in_words(entry.credit_debit, entry.status, reference, day, seen.kind, seen.message_id)


def identity_in_words(
    credit_debit: str, status: str, reference: str | None, day: date | None, kind: MessageKind, message_id: str
) -> str:
    """The same from its parts, as columns of many entries have them: `reference` is a usable one, `day` that of booking
    or else of value.

    A usable reference where there is one; else the message for a notification (two notifications
    without references are two movements), and the day for a report (which repeats what is known).
    """
    if reference:
        name = f"ref {reference}"
    elif kind is MessageKind.NOTIFICATION:
        name = f"msg {message_id}"
    else:
        name = f"day {day or ''}"
    return f"{credit_debit} {status} {name}"


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
    index = _ByReference(known, spoken_of)
    # Alike entries could be the same movements: a bank's thousand fees of a day are looked at once, not each.
    wishes = {seen: index.wishes(seen) for seen in dict.fromkeys(incoming)}
    held: dict[int, int] = {}
    holder: dict[int, int] = {}
    looked_at = dict.fromkeys(wishes, 0)
    for closeness in range(_VAGUEST + 1):
        for place, seen in enumerate(incoming):
            if place in held:
                continue
            wished, at = wishes[seen], looked_at[seen]
            while at < len(wished) and wished[at][1] in holder:
                at += 1
            looked_at[seen] = at  # what is taken stays taken, and what is closer and free would have been
            if at < len(wished) and wished[at][0] == closeness:
                held[place], holder[wished[at][1]] = wished[at][1], place
    if len(held) < len(incoming) and len(holder) < len(known):
        _make_room(incoming, wishes, held, holder)
    for place, order in held.items():
        claims[place] = known[order]
    return claims


_Wishes = Sequence[tuple[int, int]]
"""Closeness and place in `known` of the movements that an entry could be, closest first."""


class _ByReference:
    """Known movements by their references, so that an entry is compared with those that it could be only."""

    def __init__(self, known: Sequence[Movement], spoken_of: Container[int]) -> None:
        self._known = known
        self._spoken_of = spoken_of
        self._by_servicer = _by_name([[s.servicer_reference for s in m.sightings] for m in known])
        self._by_entry = _by_name([[s.entry_reference for s in m.sightings] for m in known])

    def wishes(self, seen: Sighting) -> _Wishes:
        bare = _bare(seen)
        found = []
        for order in self._candidates(seen):
            movement = self._known[order]
            if bare and id(movement) in self._spoken_of:
                continue
            if (closeness := _closeness(seen, movement)) is not None:
                found.append((closeness, order))
        return sorted(found)

    def _candidates(self, seen: Sighting) -> Iterable[int]:
        if seen.servicer_reference:
            named, others = self._by_servicer
            return chain(named.get(seen.servicer_reference, ()), others)
        if seen.entry_reference:
            named, others = self._by_entry
            return chain(named.get(seen.entry_reference, ()), others)
        return range(len(self._known))


def _by_name(names: Sequence[Sequence[str | None]]) -> tuple[dict[str, list[int]], list[int]]:
    """Movements that every message gave a name, by those names; and the others, which could have any."""
    named: dict[str, list[int]] = {}
    others: list[int] = []
    for order, of_movement in enumerate(names):
        given = {name for name in of_movement if name}
        if all(of_movement):
            for name in given:
                named.setdefault(name, []).append(order)
        else:
            others.append(order)
    return named, others


def _make_room(
    incoming: Sequence[Sighting], wishes: Mapping[Sighting, _Wishes], held: dict[int, int], holder: dict[int, int]
) -> None:
    """Let entries move to other movements that they could be, as long as that lets one more have one.

    Without this, an entry that could be either of two would take the only one that another could be,
    and the other would be recorded a second time. (Augmenting paths: Berge, 1957.)
    """
    barren: set[int] = set()
    left_out = [place for place, seen in enumerate(incoming) if place not in held and wishes[seen]]
    for out in sorted(left_out, key=lambda place: (wishes[incoming[place]][0][0], place)):
        wished_by: dict[int, int] = {}
        asked: set[Sighting] = set()
        to_ask = [out]
        for place in to_ask:
            if incoming[place] in asked:
                continue  # one like it has wished for all that it could
            asked.add(incoming[place])
            for _, order in wishes[incoming[place]]:
                if order in wished_by or order in barren:
                    continue
                wished_by[order] = place
                if order in holder:
                    to_ask.append(holder[order])
                    continue
                _hand_on(order, wished_by, held, holder)
                to_ask.clear()
                break
        if out not in held:
            barren |= wished_by.keys()


def _hand_on(free: int, wished_by: dict[int, int], held: dict[int, int], holder: dict[int, int]) -> None:
    """Give the free movement to who wishes it, what that one held to who wishes that, and so on."""
    order: int | None = free
    while order is not None:
        place = wished_by[order]
        order_before = held.get(place)
        held[place], holder[order] = order, place
        order = order_before


_VAGUEST: Final = 3


def _closeness(seen: Sighting, movement: Movement) -> int | None:
    """0 is closest, _VAGUEST is farthest; None means that they cannot be the same movement."""
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
