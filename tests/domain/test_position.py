"""The bank's position: a fold over the set of its entries, so order and repetition cannot matter."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.world import ACCOUNT
from token_engine.domain.entry import CreditDebit, Entry, EntryStatus, ReversalSign, bank_position, signed_amount
from token_engine.domain.known import KnownMovements
from token_engine.domain.notification import MessageKind

entries = st.builds(
    Entry,
    amount=st.integers(0, 10**26 - 1).map(lambda units: Decimal(units).scaleb(-8)),
    currency=st.just("AED"),
    credit_debit=st.sampled_from(CreditDebit),
    status=st.sampled_from(EntryStatus),
    reversal=st.booleans(),
)


def test_a_sign_is_the_indicators_alone_except_for_banks_that_invert_reversals() -> None:
    for side, reversal, sign in product(CreditDebit, (False, True), ReversalSign):
        entry = Entry(amount=Decimal(7), currency="AED", credit_debit=side, status=EntryStatus.BOOK, reversal=reversal)
        flips = reversal and sign is ReversalSign.INVERTED
        assert signed_amount(entry, sign) == (7 if (side is CreditDebit.CRDT) is not flips else -7)


@given(st.data(), st.lists(entries, max_size=20))
def test_the_position_is_the_same_in_every_order_and_counts_booked_entries_only(
    data: st.DataObject, told: list[Entry]
) -> None:
    shuffled = data.draw(st.permutations(told))
    units = sum((1 if e.credit_debit == "CRDT" else -1) * int(e.amount.scaleb(8)) for e in told if e.status == "BOOK")
    position = bank_position(Decimal(5), shuffled)
    assert position == bank_position(Decimal(5), told)
    assert int(position.scaleb(8)) - 500_000_000 == units


@given(st.data(), st.lists(st.tuples(entries, st.integers(1, 3)), min_size=1, max_size=8))
def test_entries_told_again_in_any_order_move_the_position_once(
    data: st.DataObject, told: list[tuple[Entry, int]]
) -> None:
    numbered = [(f"REF-{n}", entry, times) for n, (entry, times) in enumerate(told)]
    deliveries = data.draw(st.permutations([(ref, e) for ref, e, times in numbered for _ in range(times)]))
    known = KnownMovements()
    position = Decimal(0)
    for turn, (reference, entry) in enumerate(deliveries):
        named = Entry(
            amount=entry.amount, currency="AED", credit_debit=entry.credit_debit, status=entry.status,
            reversal=entry.reversal, servicer_reference=reference,
        )  # fmt: skip
        admission = known.admit(ACCOUNT, [named], MessageKind.NOTIFICATION, f"M-{turn}")
        position = bank_position(position, [new.entry for new in admission.new])
    assert position == bank_position(Decimal(0), [entry for entry, _ in told])


@pytest.mark.parametrize("status", [s for s in EntryStatus if s is not EntryStatus.BOOK])
def test_what_is_not_booked_never_moves_the_position(status: EntryStatus) -> None:
    entry = Entry(amount=Decimal(7), currency="AED", credit_debit=CreditDebit.CRDT, status=status)
    assert bank_position(Decimal(1), [entry]) == 1
