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

Key = tuple[UUID, Decimal, str]


class NewEntry(msgspec.Struct, gc=False):
    """An entry that no message told of before, and the name it is kept under."""

    entry: Entry
    identity: str
    occurrence: int


class Claim(msgspec.Struct, gc=False):
    """A notification's entry that turns out to be a movement which a report told of first."""

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
        # The same movement stands in several: notifications look by name, reports by the whole group.
        self._named: defaultdict[Key, list[Movement]] = defaultdict(list)
        self._stated: defaultdict[Key, list[Movement]] = defaultdict(list)
        self._group: defaultdict[Key, list[Movement]] = defaultdict(list)

    def add(self, account: UUID, amount: Decimal, movement: Movement) -> None:
        """Make a stored movement known, with all its sightings."""
        group = (account, amount, _group_of(movement.identity))
        self._group[group].append(movement)
        self._named[account, amount, movement.identity].append(movement)
        if movement.sightings[0].kind is not MessageKind.NOTIFICATION:
            self._stated[group].append(movement)

    def admit(
        self,
        account: UUID,
        entries: Sequence[Entry],
        kind: MessageKind,
        message_id: str,
        *,
        copy: bool = False,
    ) -> Admission:
        """Pair one message's entries with what is known; the surplus becomes known, unless it is a copy."""
        by_group: defaultdict[Key, list[tuple[Entry, Sighting, str]]] = defaultdict(list)
        for entry in entries:
            seen = sighting(entry, kind, message_id)
            name = identity(entry, seen)
            by_group[account, entry.amount, _group_of(name)].append((entry, seen, name))

        admission = Admission([], [])
        for group, told in by_group.items():
            candidates = self._candidates(group, kind, {name for _, _, name in told})
            claims = pair([seen for _, seen, _ in told], candidates)
            for (entry, seen, name), movement in zip(told, claims, strict=True):
                if movement is None:
                    if not copy:
                        admission.new.append(self._record(group, entry, seen, name))
                elif _first_told_by_a_report(movement) and kind is MessageKind.NOTIFICATION:
                    movement.sightings.append(seen)
                    admission.claims.append(Claim(entry.amount, name, movement, seen))
        return admission

    def _candidates(self, group: Key, kind: MessageKind, names: set[str]) -> list[Movement]:
        if kind is not MessageKind.NOTIFICATION:
            return self._group.get(group, [])
        account, amount, _ = group
        named = [m for name in sorted(names) for m in self._named.get((account, amount, name), ())]
        # Stated ones also hold those that a notification has claimed, under whatever name it gave.
        return [*named, *(m for m in self._stated.get(group, ()) if m.identity not in names)]

    def _record(self, group: Key, entry: Entry, seen: Sighting, name: str) -> NewEntry:
        account, amount, _ = group
        occurrence = len(self._named.get((account, amount, name), ()))
        self.add(account, amount, Movement(name, occurrence, [seen]))
        return NewEntry(entry, name, occurrence)


def _first_told_by_a_report(movement: Movement) -> bool:
    return all(s.kind is not MessageKind.NOTIFICATION for s in movement.sightings)


def _group_of(name: str) -> str:
    """Indicator and status, the first two words of an identity: what must be equal before all else."""
    return name[:9]
