"""An entry is recorded once, whichever message brings it first and however often (DESIGN 3.2).

The examples are the sentences of the design; the properties compare what is recorded with what really
happened, for any mix of notifications, reports, copies and deliveries, in any order.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.world import ACCOUNT, Real, Style, entry
from token_engine.domain.entry import CreditDebit, Entry, EntryStatus
from token_engine.domain.known import KnownMovements
from token_engine.domain.notification import MessageKind
from token_engine.domain.pairing import Movement, Sighting, pair

N, R = MessageKind.NOTIFICATION, MessageKind.REPORT


class Told(msgspec.Struct, frozen=True):
    """One message about one account."""

    message_id: str
    entries: tuple[Entry, ...]
    kind: MessageKind = N
    copy: bool = False


def recorded(messages: Sequence[Told]) -> list[Entry]:
    known = KnownMovements()
    new: list[Entry] = []
    for message in messages:
        admission = known.admit(ACCOUNT, message.entries, message.kind, message.message_id, copy=message.copy)
        new += [n.entry for n in admission.new]
    return new


def note(message_id: str, *entries: Entry, copy: bool = False) -> Told:
    return Told(message_id, entries, N, copy)


def report(message_id: str, *entries: Entry, copy: bool = False) -> Told:
    return Told(message_id, entries, R, copy)


SAME = entry(booked=0)


def count_in_every_order(*messages: Told) -> set[int]:
    return {len(recorded(order)) for order in permutations(messages)}


def test_a_reference_is_recorded_once_whatever_message_brings_it() -> None:
    once = entry(reference="BNK-1", booked=0)
    messages = (note("A", once), note("B", once), report("R", once), report("S", once))
    assert count_in_every_order(*messages) == {1}


@pytest.mark.parametrize(
    "other",
    [
        entry("0.50", reference="BNK-1", booked=0),
        entry(reference="BNK-1", booked=0, debit=True),
        entry(reference="BNK-1", booked=1),
        entry(reference="BNK-1", booked=0, value=1),
        entry(reference="BNK-2", booked=0, value=0),
    ],
)
@pytest.mark.parametrize("kinds", [(N, N), (N, R), (R, N), (R, R)])
def test_a_reference_repeated_with_another_amount_sign_or_date_is_another_movement(
    other: Entry, kinds: tuple[MessageKind, MessageKind]
) -> None:
    first = entry(reference="BNK-1", booked=0, value=0)
    together = Told("A", (first, other), kinds[0])
    assert len(recorded([together])) == 2
    apart = (Told("A", (first,), kinds[0]), Told("B", (other,), kinds[1]))
    assert count_in_every_order(*apart) == {2}
    assert len(recorded([*apart, *apart])) == 2


def test_a_payment_and_its_charge_under_one_reference_are_two_however_often_they_are_told() -> None:
    payment, charge = entry("100", reference="X1", debit=True), entry("2.50", reference="X1", debit=True)
    messages = (note("A", payment), note("B", charge), report("R", payment, charge), note("C", charge, payment))
    assert count_in_every_order(*messages) == {2}


def test_two_notifications_without_references_are_two_movements() -> None:
    assert count_in_every_order(note("A", SAME), note("B", SAME)) == {2}
    assert count_in_every_order(note("A", entry()), note("B", entry())) == {2}


def test_the_same_notification_serialised_anew_is_the_same_movement() -> None:
    assert len(recorded([note("A", SAME), note("A", SAME)])) == 1


@pytest.mark.parametrize("kind", [N, R])
@pytest.mark.parametrize("reference", [None, "BNK-1"])
def test_two_identical_lines_need_two_identical_entries_and_only_the_surplus_is_new(
    kind: MessageKind, reference: str | None
) -> None:
    line = entry(reference=reference, booked=0)
    for first, second in ((1, 2), (2, 1), (2, 3), (3, 3), (0, 2)):
        messages = [Told("A", (line,) * first, kind), Told("A", (line,) * second, kind)]
        assert len(recorded(messages)) == max(first, second)
        assert len(recorded([*messages, *messages])) == max(first, second)


def test_a_report_of_three_identical_lines_meets_the_two_that_were_notified_in_any_order() -> None:
    messages = (note("A", SAME), note("B", SAME), report("R", SAME, SAME, SAME))
    assert count_in_every_order(*messages) == {3}


@pytest.mark.parametrize("names", [[None] * 5000, [f"FEE-{n}" for n in range(5000)]])
@pytest.mark.parametrize("kind", [N, R])
def test_a_day_of_fees_alike_is_paired_in_no_time(names: list[str | None], kind: MessageKind) -> None:
    """The accounts are locked meanwhile. Comparing each with each took half a minute."""
    fees = tuple(entry("0.50", reference=name, booked=0, debit=True) for name in names)
    known = KnownMovements()
    known.admit(ACCOUNT, fees[1:], R, "MORNING")
    started = time.perf_counter()
    evening = known.admit(ACCOUNT, fees, kind, "EVENING")
    assert time.perf_counter() - started < 2
    assert len(evening.new) == 1


def test_a_movement_first_stated_is_claimed_by_one_notification_only() -> None:
    assert count_in_every_order(report("R", SAME), note("A", SAME), note("A", SAME)) == {1}
    assert len(recorded([report("R", SAME), note("A", SAME), note("B", SAME)])) == 2


def test_a_day_in_common_does_not_join_what_another_day_parts() -> None:
    booked_only = entry(booked=0)
    assert len(recorded([report("R", booked_only), note("A", entry(booked=1))])) == 2
    assert len(recorded([report("R", entry(booked=0, value=0)), note("A", entry(booked=0, value=1))])) == 2
    assert len(recorded([report("R", booked_only), note("A", entry(booked=0, value=1))])) == 1


@pytest.mark.parametrize("reference", ["1", "99999"])
def test_a_short_number_as_an_entry_reference_is_a_place_in_a_message_and_no_name(reference: str) -> None:
    numbered = entry(entry_reference=reference)
    assert count_in_every_order(note("A", numbered), note("B", numbered)) == {2}
    assert len(recorded([note("A", entry(entry_reference="E00001")), note("B", entry(entry_reference="E00001"))])) == 1


def test_pending_and_booked_are_told_apart() -> None:
    pending = entry(reference="BNK-1", status=EntryStatus.PDNG)
    assert count_in_every_order(note("A", pending), note("B", entry(reference="BNK-1"))) == {2}


@pytest.mark.parametrize("message", [note("C", SAME, SAME, copy=True), report("C", SAME, SAME, copy=True)])
def test_a_copy_never_adds_before_or_after_its_original(message: Told) -> None:
    assert recorded([message]) == []
    assert count_in_every_order(note("A", SAME), message) == {1}
    assert count_in_every_order(report("R", SAME), message) == {1}


def test_a_copy_under_an_id_of_its_own_does_not_stand_in_the_way_of_its_original() -> None:
    assert count_in_every_order(report("R", SAME), note("COPY-1", SAME, copy=True), note("A", SAME)) == {1}


def test_a_line_takes_no_notification_that_another_line_of_the_report_needs() -> None:
    dated = (entry(booked=0, value=0), entry(booked=0, value=1))
    notified = (note("A", entry(booked=0)), note("B", dated[1]))
    for lines in permutations(dated):
        for order in permutations(notified):
            assert len(recorded([*order, report("R", *lines)])) == 2


@pytest.mark.parametrize("kind", [N, R])
def test_lines_alike_in_two_parts_of_one_message_are_two_movements_when_notified(kind: MessageKind) -> None:
    for line, movements in ((SAME, 2 if kind is N else 1), (entry(reference="BNK-1"), 1)):
        known, recorded_of = KnownMovements(), []
        for _ in range(2):
            spoken_of: set[int] | None = set() if kind is N else None
            for _ in range(2):
                admission = known.admit(ACCOUNT, [line], kind, "A", spoken_of=spoken_of)
                recorded_of += admission.new
        assert len(recorded_of) == movements


@pytest.mark.parametrize("stated", [entry(booked=1), entry(reference="BNK-2", booked=1)])
def test_a_later_report_does_not_take_a_bare_notification_that_an_earlier_report_has_explained(stated: Entry) -> None:
    """The specification's JSON has no dates: without a reference it would explain one line of every day."""
    first = report("MON", entry(reference="BNK-1" if stated.servicer_reference else None, booked=0))
    assert len(recorded([note("A", entry()), first, report("TUE", stated)])) == 2


# What really happened, and how it was told -------------------------------------------------------------

reals = st.lists(
    st.tuples(st.sampled_from(["10", "10.00", "7"]), st.booleans(), st.integers(0, 1)), min_size=1, max_size=7
).map(
    lambda drawn: [
        Real(f"TAG-{n}", Decimal(amount), debit, day, f"BNK-{n}") for n, (amount, debit, day) in enumerate(drawn)
    ]
)
styles = st.builds(Style, references=st.booleans(), booking_dates=st.booleans(), value_dates=st.booleans())


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Real], list[Told]]:
    """Movements in the order in which they happen, and messages in the order in which they arrive.

    Notifications tell of movements one message each or several together. A report tells of everything
    that has happened until it is made. Anything may come again, serialised anew; copies too; and
    messages overtake one another.
    """
    truth = draw(reals)
    notified, stated = draw(styles), draw(styles)
    messages: list[Told] = []
    happened: list[Real] = []
    rest = list(truth)
    while rest:
        size = draw(st.integers(1, min(3, len(rest))))
        together, rest = rest[:size], rest[size:]
        happened += together
        if draw(st.booleans()):
            messages.append(note(f"N-{len(messages)}", *(real.told(notified) for real in together)))
        else:
            messages += [note(f"N-{len(messages)}.{n}", real.told(notified)) for n, real in enumerate(together)]
        if draw(st.booleans()):
            lines = draw(st.permutations(happened))
            messages.append(report(f"R-{len(messages)}", *(real.told(stated) for real in lines)))
    again = draw(st.lists(st.sampled_from(messages), max_size=4))
    copies = [
        msgspec.structs.replace(m, copy=True, message_id=draw(st.sampled_from([m.message_id, f"C-{n}"])))
        for n, m in enumerate(draw(st.lists(st.sampled_from(messages), max_size=3)))
    ]
    return truth, draw(st.permutations([*messages, *again, *copies]))


def of(entries: Sequence[Entry]) -> Counter[tuple[CreditDebit, Decimal]]:
    return Counter((e.credit_debit, e.amount) for e in entries)


@given(deliveries())
def test_what_is_recorded_is_what_really_happened_in_whatever_order_it_was_told(
    told: tuple[list[Real], list[Told]],
) -> None:
    truth, messages = told
    new = recorded(messages)
    assert of(new) == of([real.told(Style(False, False, False)) for real in truth])
    assert sum(1 for _ in new) == len(truth)


@given(deliveries())
def test_with_references_the_very_movements_are_recorded(told: tuple[list[Real], list[Told]]) -> None:
    truth, messages = told
    named = [m for m in messages if all(e.servicer_reference for e in m.entries)]
    tags = {e.end_to_end_id for m in named if not m.copy for e in m.entries}
    assert Counter(e.end_to_end_id for e in recorded(named)) == Counter(tags)
    assert tags <= {real.tag for real in truth}


# The pairing itself ----------------------------------------------------------------------------------

maybe_day = st.sampled_from([None, 0, 1])
sightings = st.builds(
    lambda kind, message, reference, booked, value: Sighting(
        kind, message, reference, None,
        entry(booked=booked).booking_date, entry(value=value).value_date,
    ),
    st.sampled_from([N, R]), st.sampled_from(["A", "B"]), st.sampled_from([None, None, "X", "Y"]), maybe_day, maybe_day,
)  # fmt: skip


def could_be(seen: Sighting, known: Sighting) -> bool:
    """Whether two sightings may be of one movement: nothing contradicts, and no two bare notifications."""
    if seen.servicer_reference and known.servicer_reference:
        referenced = True
        if seen.servicer_reference != known.servicer_reference:
            return False
    else:
        referenced = False
    for one, other in ((seen.booking_date, known.booking_date), (seen.value_date, known.value_date)):
        if one and other and one != other:
            return False
    if seen.kind is N and known.kind is N and not referenced:
        bare = not (seen.servicer_reference or known.servicer_reference)
        return bare and seen.message_id == known.message_id
    return True


def most_pairs(incoming: Sequence[Sighting], known: Sequence[Sighting]) -> int:
    """The largest number of one-to-one pairs, by trying all of them."""
    if not incoming:
        return 0
    first, *rest = incoming
    best = most_pairs(rest, known)
    for at, candidate in enumerate(known):
        if could_be(first, candidate):
            best = max(best, 1 + most_pairs(rest, [*known[:at], *known[at + 1 :]]))
    return best


@given(st.lists(sightings, max_size=4), st.lists(sightings, max_size=4))
def test_pairs_are_one_to_one_contradict_nothing_and_are_as_many_as_can_be(
    incoming: list[Sighting], known: list[Sighting]
) -> None:
    movements = [Movement("name", n, [seen]) for n, seen in enumerate(known)]
    claims = pair(incoming, movements)
    claimed = [m.occurrence for m in claims if m is not None]
    assert len(claims) == len(incoming)
    assert len(set(claimed)) == len(claimed)
    assert all(could_be(seen, m.sightings[0]) for seen, m in zip(incoming, claims, strict=True) if m)
    assert len(claimed) == most_pairs(incoming, known)


@given(st.lists(sightings, max_size=4))
def test_everything_told_again_is_known(incoming: list[Sighting]) -> None:
    movements = [Movement("name", n, [seen]) for n, seen in enumerate(incoming)]
    one_message = [s for s in incoming if s.kind is R or s.message_id == "A"]
    assert None not in pair(one_message, movements)
