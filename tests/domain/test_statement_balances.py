"""Which balances open and close a statement."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_engine.domain.entry import CreditDebit
from token_engine.domain.money import UNSTATED
from token_engine.domain.notification import Heading, MessageKind, StatedBalance
from token_engine.domain.statement_balances import closing_of, opening_of


def bal(
    code: str,
    amount: str,
    day: int | None = None,
    currency: str = "AED",
    *,
    credit_line: bool = False,
    interim: bool = False,
) -> StatedBalance:
    value = Decimal(amount)
    return StatedBalance(
        code=code,
        amount=abs(value),
        currency=currency,
        credit_debit=CreditDebit.DBIT if value < 0 else CreditDebit.CRDT,
        as_of=None if day is None else date(2025, 11, day),
        includes_credit_line=credit_line,
        interim=interim,
    )


def heading(*balances: StatedBalance, currency: str | None = "AED") -> Heading:
    return Heading(
        kind=MessageKind.STATEMENT,
        type="camt.053",
        message_id="M",
        account_number="1",
        currency=currency,
        balances=balances,
    )


def _signed(balance: StatedBalance | None) -> str | None:
    return None if balance is None else str(balance.signed)


@pytest.mark.parametrize(
    ("balances", "opening", "closing"),
    [
        ([bal("OPBD", "1", 17), bal("CLBD", "2", 18)], "1", "2"),
        ([bal("PRCD", "1", 17), bal("CLBD", "-2", 18)], "1", "-2"),
        ([bal("PRCD", "9", 17), bal("OPBD", "1", 18), bal("CLBD", "2", 18)], "1", "2"),
        # A day's balances for each day of a week: the first opens, the last closes.
        ([bal("OPBD", "2", 18), bal("CLBD", "3", 18), bal("OPBD", "1", 17), bal("CLBD", "2", 17)], "1", "3"),
        ([bal("PRCD", "2", 18), bal("PRCD", "1", 17)], "1", None),
        # None of these is a booked balance that opens or closes.
        ([bal("OPAV", "1"), bal("CLAV", "2"), bal("FWAV", "3"), bal("ITBD", "4"), bal("", "5")], None, None),
        ([bal("OPBD", "1", credit_line=True), bal("CLBD", "2", credit_line=True)], None, "2"),
        ([bal("CLBD", "1"), bal("CLBD", "2", credit_line=True)], None, "1"),
        ([bal("OPBD", "1", credit_line=True), bal("OPBD", "7"), bal("PRCD", "8")], "7", None),
        # A page's, where there is none of the statement.
        ([bal("OPBD", "1", interim=True), bal("CLBD", "2", interim=True)], "1", "2"),
        (
            [bal("OPBD", "1"), bal("CLBD", "5", interim=True), bal("OPBD", "5", interim=True), bal("CLBD", "2")],
            "1",
            "2",
        ),
        # Said twice is the same once, and contradictions are none.
        ([bal("CLBD", "2", 18), bal("CLBD", "2.00", 18)], None, "2"),
        ([bal("CLBD", "2", 18), bal("CLBD", "3", 18)], None, None),
        ([bal("CLBD", "2", 18), bal("CLBD", "-2", 18)], None, None),
        ([bal("CLBD", "2", 18), bal("CLBD", "3")], None, None),
        ([bal("OPBD", "2"), bal("OPBD", "3"), bal("PRCD", "4")], None, None),
        # In another currency it is none of this account's.
        ([bal("OPBD", "1", 17, "USD"), bal("OPBD", "2", 17), bal("CLBD", "3", 17, "USD")], "2", "3"),
        ([bal("OPBD", "1", 17, "USD"), bal("CLBD", "3", 17, "USD"), bal("CLBD", "4", 16)], None, "4"),
        ([bal("OPBD", "1", 17, UNSTATED), bal("CLBD", "2", 17, UNSTATED)], "1", "2"),
        ([], None, None),
    ],
)
def test_which_opens_and_which_closes(balances: list[StatedBalance], opening: str | None, closing: str | None) -> None:
    for order in (balances, balances[::-1]):
        stated = heading(*order)
        told = _signed(opening_of(stated)), _signed(closing_of(stated))
        assert [None if t is None else Decimal(t) for t in told] == [
            None if t is None else Decimal(t) for t in (opening, closing)
        ]


def test_the_accounts_currency_chooses_where_the_heading_names_none() -> None:
    both = heading(bal("OPBD", "1", 17), bal("OPBD", "2", 17, "USD"), currency=None)
    assert opening_of(both) is None
    assert _signed(opening_of(both, "AED")) == "1"
    assert _signed(opening_of(both, "USD")) == "2"
    assert opening_of(both, "EUR") is None


_balances = st.builds(
    bal,
    st.sampled_from(["OPBD", "PRCD", "CLBD", "OPAV", "CLAV", "ITBD"]),
    st.sampled_from(["1", "-1", "2"]),
    st.none() | st.integers(16, 19),
    st.sampled_from(["AED", "USD"]),
    credit_line=st.booleans(),
    interim=st.booleans(),
)


@given(st.lists(_balances, max_size=8), st.randoms(use_true_random=False))
def test_the_order_plays_no_part_and_only_booked_balances_of_the_account_are_chosen(
    balances: list[StatedBalance], random: object
) -> None:
    shuffled = list(balances)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for choose, codes in ((opening_of, ("OPBD", "PRCD")), (closing_of, ("CLBD",))):
        one, other = choose(heading(*balances)), choose(heading(*shuffled))
        assert _signed(one) == _signed(other)
        if one is not None:
            assert one.code in codes
            rivals = [b for b in balances if b.code == one.code and b.currency == "AED" and not b.includes_credit_line]
            if choose is opening_of or rivals:
                assert one in rivals
                assert one.interim <= all(b.interim for b in rivals)
