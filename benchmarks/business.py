"""Business of a month with known truth: what the bank states, what the ledger moves, and which belongs to which.

Seeded, so that a figure can be had again. Everything that makes matching hard is in it: fees and interest without a
movement, returns, duplicates, batches and splits, late and backdated entries, near-identical amounts, charges taken
on the way, and strangers whose payments look alike. `decidable` says whether the facts on both sides suffice: where
they do not (a bank that books twice what the ledger has once) a match would be a guess, and none is right.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

FIRST: Final = date(2025, 11, 1)


@dataclass(frozen=True)
class Side:
    """What both sides can say of a payment. `amount` is signed as the bank has it; `name` is ours, for the truth."""

    name: str
    amount: Decimal
    day: date = date(2025, 11, 18)
    uetr: str | None = None
    end_to_end_id: str | None = None
    bank_reference: str | None = None
    instruction_id: str | None = None
    creditor_reference: str | None = None
    batch_reference: str | None = None
    counterparty: str | None = None


@dataclass(frozen=True)
class Detail:
    """A single payment of a line."""

    amount: Decimal | None
    end_to_end_id: str | None = None
    uetr: str | None = None


@dataclass(frozen=True)
class Line(Side):
    """A line of a statement; `booked` is the day of the statement where that is not its value date's."""

    transaction_id: str | None = None
    transaction_code: str | None = None
    remittance: str | None = None
    status: str = "BOOK"
    details: tuple[Detail, ...] = field(default=())
    booked: date | None = None


@dataclass(frozen=True)
class Move(Side):
    """A movement of the ledger; its kind follows from the sign unless it is said."""

    kind: str | None = None
    cause: str | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened: its lines and movements, which are one match where there are both. `single`: they are
    so many matches instead, of the same names. `reason` is what a line without an answer should be said to be.
    """

    lines: tuple[Line, ...] = ()
    moves: tuple[Move, ...] = ()
    decidable: bool = True
    reason: str | None = None
    single: bool = False

    def truth(self) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
        """The matches that it comes to, by the names of lines and movements."""
        if self.single:
            yield from ((frozenset({m.name}), frozenset({m.name})) for m in self.moves)
        elif self.lines and self.moves:
            yield frozenset(line.name for line in self.lines), frozenset(m.name for m in self.moves)


class Business:
    """Events of `days` days, one after the other."""

    def __init__(self, seed: int, days: int = 30) -> None:
        self._random = random.Random(seed)
        self._days = days
        self._number = 0
        self._extra: list[Event] = []
        self._cases: tuple[tuple[int, Callable[[], Event]], ...] = (
            (300, self._by("end_to_end_id")), (120, self._by("uetr", "end_to_end_id")),
            (90, self._by("bank_reference")), (40, self._by("instruction_id")),
            (40, self._by("creditor_reference")), (120, self._bare),
            (40, self._near), (30, self._batch), (30, self._detailed), (25, self._split), (25, self._returned),
            (20, self._late), (20, self._backdated), (15, self._twins), (15, self._twice), (10, self._twice_told),
            (15, self._charged), (10, self._unknowable), (15, self._strangers), (20, self._fee), (5, self._interest),
            (10, self._sent_back), (15, self._not_booked), (10, self._unannounced),
        )  # fmt: skip

    def events(self, lines: int) -> Iterator[Event]:
        """Until about so many lines are stated."""
        cases, weights = [c for _, c in self._cases], [w for w, _ in self._cases]
        stated = 0
        while stated < lines:
            for event in (self._random.choices(cases, weights)[0](), *self._extra):
                stated += len(event.lines)
                yield event
            self._extra.clear()

    # What is drawn ------------------------------------------------------------------------------------------

    def _name(self) -> str:
        self._number += 1
        return f"{self._number:08d}"

    def _amount(self) -> Decimal:
        """Often round, as people's payments are, and of either sign."""
        r = self._random
        cents = r.choice((r.randrange(1, 200) * 5000, r.randrange(1, 20_000) * 100, r.randrange(100, 90_000_000)))
        return Decimal(cents if r.random() < 0.6 else -cents) / 100

    def _odd(self) -> Decimal:
        """An amount that hardly comes twice."""
        return Decimal(self._random.randrange(100_000, 10**10)) / 100 * self._random.choice((1, -1))

    def _day(self) -> date:
        return FIRST + timedelta(days=self._random.randrange(self._days))

    def _party(self) -> str:
        return f"Customer {self._random.randrange(3000)} LLC"

    def _facts(self, **more: Any) -> dict[str, Any]:
        return {"day": self._day(), "counterparty": self._party(), **more}

    # What happens -------------------------------------------------------------------------------------------

    def _by(self, *keys: str) -> Callable[[], Event]:
        """A payment that both sides know by these keys; the bank has references of its own besides."""

        def payment() -> Event:
            name, amount = self._name(), self._amount()
            facts = self._facts(**{key: f"{key[0]}{name}" for key in keys})
            own: dict[str, Any] = {} if "bank_reference" in facts else {"bank_reference": f"B{name}"}
            return Event((Line(name, amount, **facts, **own),), (Move(name, amount, **facts),))

        return payment

    def _bare(self) -> Event:
        """No reference in common: amount, day and party must do. Value dates up to two days apart."""
        name, amount, facts = self._name(), self._odd(), self._facts()
        line = Line(name, amount, **facts, bank_reference=f"B{name}")
        facts["day"] += timedelta(days=self._random.randrange(-2, 3))
        facts["counterparty"] = facts["counterparty"].upper().replace(" LLC", ", L.L.C.")
        return Event((line,), (Move(name, amount, **facts),))

    def _near(self) -> Event:
        """Two of one party on one day, a cent apart. Each is told by its amount, so it is one event of two matches."""
        name, amount, facts = self._name(), self._odd(), self._facts()
        cent = self._random.choice((Decimal("0.01"), Decimal("-0.01")))
        pair = [(f"{name}a", amount), (f"{name}b", amount + cent)]
        return Event(
            tuple(Line(n, a, **facts) for n, a in pair), tuple(Move(n, a, **facts) for n, a in pair), single=True
        )

    def _batch(self) -> Event:
        """Payouts of one file, booked in one sum."""
        name = self._name()
        facts: dict[str, Any] = {"day": self._day(), "batch_reference": f"F{name}"}
        amounts = [-abs(self._amount()) for _ in range(self._random.randrange(2, 9))]
        moves = tuple(Move(f"{name}.{i}", a, end_to_end_id=f"P{name}.{i}", **facts) for i, a in enumerate(amounts))
        return Event((Line(name, sum(amounts, Decimal(0)), **facts, end_to_end_id=f"F{name}"),), moves)

    def _detailed(self) -> Event:
        """Booked in one sum, with the single payments beside it and no word for the batch."""
        name, day = self._name(), self._day()
        amounts = [-abs(self._amount()) for _ in range(self._random.randrange(2, 6))]
        ids = [f"D{name}.{i}" for i in range(len(amounts))]
        moves = tuple(Move(i, a, day, end_to_end_id=i) for i, a in zip(ids, amounts, strict=True))
        details = tuple(Detail(a, i) for i, a in zip(ids, amounts, strict=True))
        return Event((Line(name, sum(amounts, Decimal(0)), day, details=details, bank_reference=f"B{name}"),), moves)

    def _split(self) -> Event:
        """One movement, booked in parts under its end-to-end id."""
        name, facts = self._name(), self._facts(end_to_end_id=f"S{self._number:08d}")
        parts = [Decimal(self._random.randrange(100, 10_000) + i) for i in range(self._random.randrange(2, 4))]
        lines = tuple(Line(f"{name}.{i}", a, **facts, bank_reference=f"B{name}.{i}") for i, a in enumerate(parts))
        return Event(lines, (Move(name, sum(parts, Decimal(0)), **facts),))

    def _returned(self) -> Event:
        """A payout that came back, both booked, both known to the ledger under one end-to-end id: two matches."""
        name, amount = self._name(), abs(self._amount())
        facts = self._facts(end_to_end_id=f"R{self._number:08d}")
        code = "PMNT/ICDT/RRTN"
        lines = Line(f"{name}a", -amount, **facts), Line(f"{name}b", amount, **facts, transaction_code=code)
        return Event(lines, (Move(f"{name}a", -amount, **facts), Move(f"{name}b", amount, **facts)), single=True)

    def _late(self) -> Event:
        """The ledger follows days after the bank."""
        name, amount, facts = self._name(), self._amount(), self._facts(end_to_end_id=f"L{self._number:08d}")
        line = Line(name, amount, **facts)
        facts["day"] += timedelta(days=self._random.randrange(1, 7))
        return Event((line,), (Move(name, amount, **facts),))

    def _backdated(self) -> Event:
        """The bank books with a value date of days before."""
        name, amount, facts = self._name(), self._amount(), self._facts(end_to_end_id=f"V{self._number:08d}")
        move, booked = Move(name, amount, **facts), facts["day"]
        facts["day"] -= timedelta(days=self._random.randrange(1, 7))
        return Event((Line(name, amount, **facts, booked=booked),), (move,))

    def _twins(self) -> Event:
        """Two real payments that nothing tells apart, on both sides: together they are the same."""
        name, amount, facts = self._name(), self._amount(), self._facts(end_to_end_id=f"T{self._number:08d}")
        names = f"{name}a", f"{name}b"
        return Event(tuple(Line(n, amount, **facts) for n in names), tuple(Move(n, amount, **facts) for n in names))

    def _twice(self) -> Event:
        """Booked twice by mistake, in the ledger once: which line is the mistake, nobody can tell."""
        name, amount, facts = self._name(), self._amount(), self._facts(end_to_end_id=f"W{self._number:08d}")
        lines = tuple(Line(f"{name}{n}", amount, **facts, bank_reference=f"B{name}{n}") for n in "ab")
        return Event(lines, (Move(name, amount, **facts),), decidable=False, reason="duplicate")

    def _twice_told(self) -> Event:
        """The same, and the ledger knows the bank's reference of one."""
        name, amount, facts = self._name(), self._amount(), self._facts(end_to_end_id=f"K{self._number:08d}")
        line = Line(name, amount, **facts, bank_reference=f"B{name}a")
        twin = Line(f"{name}b", amount, **facts, bank_reference=f"B{name}b")
        self._extra.append(Event((twin,), reason="duplicate"))
        return Event((line,), (Move(name, amount, **facts, bank_reference=f"B{name}a"),))

    def _charged(self) -> Event:
        """A bank on the way took its charge: the ledger expected more."""
        name, amount, facts = self._name(), abs(self._amount()) + 20, self._facts(end_to_end_id=f"C{self._number:08d}")
        line, move = Line(name, amount - 15, **facts), Move(name, amount, **facts)
        return Event((line,), (move,), decidable=False, reason="amount_differs")

    def _unknowable(self) -> Event:
        """Two of one party, one amount, one day and no reference on either side, one not yet in the ledger."""
        name, amount, facts = self._name(), self._odd(), self._facts()
        lines = tuple(Line(f"{name}{n}", amount, **facts) for n in "ab")
        return Event(lines, (Move(name, amount, **facts),), decidable=False, reason="ambiguous")

    def _strangers(self) -> Event:
        """A credit and a movement of one amount, party and day, that name different payments."""
        name, amount, facts = self._name(), self._odd(), self._facts()
        self._extra.append(Event(moves=(Move(name, amount, **facts, end_to_end_id=f"Y{name}"),)))
        return Event((Line(name, amount, **facts, end_to_end_id=f"X{name}"),))

    def _fee(self) -> Event:
        name, amount = self._name(), -Decimal(self._random.randrange(100, 9000)) / 100
        said: dict[str, Any] = self._random.choice(
            ({"transaction_code": "PMNT/MDOP/CHRG"}, {"remittance": "Transfer charges"}, {"transaction_code": "NCHG"})
        )
        return Event((Line(name, amount, self._day(), **said),), reason="fee")

    def _interest(self) -> Event:
        amount = Decimal(self._random.randrange(100, 90_000)) / 100
        line = Line(self._name(), amount, self._day(), transaction_code="LDAS/CSLN/INTR")
        return Event((line,), reason="interest")

    def _sent_back(self) -> Event:
        """A return that the ledger knows nothing of."""
        facts = self._facts(transaction_code="PMNT/ICDT/RRTN")
        return Event((Line(self._name(), abs(self._amount()), **facts),), reason="return")

    def _not_booked(self) -> Event:
        """The ledger moved, and the bank will book next month."""
        return Event(moves=(Move(self._name(), self._odd(), **self._facts(end_to_end_id=f"N{self._number:08d}")),))

    def _unannounced(self) -> Event:
        """A credit that nobody expected."""
        return Event((Line(self._name(), abs(self._odd()), **self._facts(end_to_end_id=f"U{self._number:08d}")),))


def month(seed: int, lines: int, days: int = 30) -> list[Event]:
    """The events of a month, in no order that tells anything."""
    events = list(Business(seed, days).events(lines))
    random.Random(seed).shuffle(events)
    return events
