"""What is known of the accounts that a batch of messages touches, and what each message adds to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import msgspec

from token_engine.domain.entry import Entry
from token_engine.domain.notification import MessageKind
from token_engine.domain.pairing import Movement, Sighting, identity, pair, sighting


class NewEntry(msgspec.Struct, gc=False):
    """An entry that no message told of before, and the name it is kept under."""

    entry: Entry
    identity: str
    occurrence: int


class Claim(msgspec.Struct, gc=False):
    """An entry that turns out to be a known movement, and tells more of it than was known."""

    amount: Decimal
    identity: str
    movement: Movement
    sighting: Sighting


class Admission(msgspec.Struct, gc=False):
    """What one message's entries come to."""

    new: list[NewEntry]
    claims: list[Claim]


class KnownMovements:
    """Movements by account and amount. The caller loads what is stored for the batch's keys, under the
    accounts' locks; `admit` then adds message by message, so that later ones see earlier ones.
    """

    def __init__(self) -> None:
        self._shelves: defaultdict[UUID, defaultdict[Decimal, _Shelf]] = defaultdict(lambda: defaultdict(_Shelf))

    def add(self, account: UUID, amount: Decimal, movement: Movement) -> None:
        """Make a stored movement known, with all its sightings."""
        self._shelves[account][amount].add(movement)

    def admit(
        self,
        account: UUID,
        entries: Sequence[Entry],
        kind: MessageKind,
        message_id: str,
        *,
        copy: bool = False,
        spoken_of: set[int] | None = None,
    ) -> Admission:
        """Pair one message's entries with what is known; the surplus becomes known, unless it is a copy.

        A message of several notifications hands the same `spoken_of` in with each: two entries alike and
        without references are two movements, whether they stand in one notification or in two.
        """
        shelves = self._shelves[account]
        told: defaultdict[tuple[Decimal, str], list[_Told]] = defaultdict(list)
        for entry in entries:
            seen = sighting(entry, kind, message_id)
            name = identity(entry, seen)
            told[entry.amount, _group_of(name)].append((entry, seen, name))

        admission = Admission([], [])
        told_now: list[Movement] = []
        for (amount, group), alike in told.items():
            shelf = shelves[amount]
            candidates = shelf.candidates(group, kind, [name for _, _, name in alike])
            claims = pair([seen for _, seen, _ in alike], candidates, spoken_of or ())
            for (entry, seen, name), movement in zip(alike, claims, strict=True):
                if movement is None:
                    if not copy:
                        told_now.append(made := shelf.record(name, seen))
                        admission.new.append(NewEntry(entry, name, made.occurrence))
                    continue
                told_now.append(movement)
                if not copy and _tells_more(seen, movement):
                    movement.sightings.append(seen)
                    admission.claims.append(Claim(amount, name, movement, seen))
        if spoken_of is not None:
            spoken_of.update(map(id, told_now))
        return admission


_Told = tuple[Entry, Sighting, str]


class _Shelf:
    """The known movements of one amount on one account.

    The same movement stands in several places: notifications look by name, reports by the whole group.
    """

    __slots__ = ("_group", "_named", "_stated")

    def __init__(self) -> None:
        self._named: dict[str, list[Movement]] = {}
        self._stated: dict[str, list[Movement]] = {}
        self._group: dict[str, list[Movement]] = {}

    def add(self, movement: Movement) -> None:
        group = _group_of(movement.identity)
        self._group.setdefault(group, []).append(movement)
        self._named.setdefault(movement.identity, []).append(movement)
        if movement.sightings[0].kind is not MessageKind.NOTIFICATION:
            self._stated.setdefault(group, []).append(movement)

    def candidates(self, group: str, kind: MessageKind, names: Sequence[str]) -> Sequence[Movement]:
        """What entries of these names could be."""
        if kind is not MessageKind.NOTIFICATION:
            return self._group.get(group, ())
        asked = dict.fromkeys(names)
        named = [m for name in asked for m in self._named.get(name, ())]
        # Stated ones also hold those that a notification has claimed, under whatever name it gave.
        return [*named, *(m for m in self._stated.get(group, ()) if m.identity not in asked)]

    def record(self, name: str, seen: Sighting) -> Movement:
        """Make a new movement known, numbered among those of its name."""
        movement = Movement(name, len(self._named.get(name, ())), [seen])
        self.add(movement)
        return movement


def _tells_more(seen: Sighting, movement: Movement) -> bool:
    """Must this sighting be kept, so that no later entry takes the movement for another?

    A notification claims a movement that only reports told of. A report adds a date or a reference that
    nobody gave: without it, a notification with neither would explain one line of every day's report.
    """
    if seen.kind is MessageKind.NOTIFICATION:
        return all(s.kind is not MessageKind.NOTIFICATION for s in movement.sightings)
    told = zip(*(_names(s) for s in movement.sightings), strict=True)
    return any(name and not any(names) for name, names in zip(_names(seen), told, strict=True))


def _names(seen: Sighting) -> tuple[object, ...]:
    return seen.servicer_reference, seen.entry_reference, seen.booking_date, seen.value_date


def _group_of(name: str) -> str:
    """Indicator and status, the first two words of an identity: what must be equal before all else."""
    return name[:9]
