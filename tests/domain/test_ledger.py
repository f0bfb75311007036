"""The rules of the token ledger, without a database."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from token_engine.domain.backing import Verdict
from token_engine.domain.breaker import Breaker
from token_engine.domain.ledger import LEGS, Book, Kind, LedgerAccount, Mode, Movement, check_issuance, legs_of
from token_engine.domain.ledger import reversal_of as undo
from token_engine.domain.refusal import RefusedError

kinds = st.sampled_from([kind for kind in Kind if kind is not Kind.REVERSAL])
amounts = st.decimals("0.01", "999999999999999999", places=2)


def book(ledger: str = "100", **more: object) -> Book:
    made = Book(
        account_id=UUID(int=1), number="N", currency="AED", mode=Mode.ENGINE, closed=False, ledger=Decimal(ledger),
        reserved=Decimal(0), bank=Decimal("9e18"), holders={"a": Decimal(ledger)},
    )  # fmt: skip
    return structs.replace(made, **more)


def move(kind: Kind, amount: Decimal, way: int = 0) -> Movement:
    legs = LEGS[kind][way]
    return Movement(
        kind=kind, amount=amount, reason="r", actor="t", key="k",
        from_holder="a" if legs.leaves is LedgerAccount.HOLDER else None,
        to_holder="b" if legs.enters is LedgerAccount.HOLDER else None,
    )  # fmt: skip


def code(book: Book, movement: Movement, poster: Mode = Mode.ENGINE) -> str | None:
    try:
        book.post(movement, poster)
    except RefusedError as refused:
        return refused.refusal.code
    return None


@given(kind=kinds, amount=amounts, held=amounts)
def test_a_movement_and_its_reversal_leave_a_book_as_it_was(kind: Kind, amount: Decimal, held: Decimal) -> None:
    kept = book(str(held))
    movement = move(kind, amount)
    before = kept.ledger, kept.holders["a"]
    if code(kept, movement) is not None:
        assert (kept.ledger, kept.holders["a"]) == before, "what is refused changes nothing"
        return
    assert kept.ledger == sum(kept.holders.values()) >= 0
    back = undo(movement, 1, "r", "t", None)
    assert legs_of(back) == legs_of(movement).turned
    assert code(kept, back) is None
    assert (kept.ledger, kept.holders["a"], kept.holders.get("b", 0)) == (*before, 0)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.REVERSAL])
def test_a_movement_with_a_holder_too_many_or_too_few_is_refused_by_that_holder(kind: Kind) -> None:
    for way in range(len(LEGS[kind])):
        right = move(kind, Decimal(1), way)
        for field in ("from_holder", "to_holder"):
            wrong = structs.replace(right, **{field: "x" if getattr(right, field) is None else None})
            with pytest.raises(RefusedError) as refused:
                legs_of(wrong)
            assert refused.value.refusal.field is not None


@pytest.mark.parametrize("breaker", Breaker)
@pytest.mark.parametrize("verdict", Verdict)
def test_nothing_is_minted_under_an_open_breaker_or_without_fresh_evidence(breaker: Breaker, verdict: Verdict) -> None:
    """A Critical excess is what a mint heals; a Critical shortfall has opened the breaker."""
    if breaker is not Breaker.OPEN and verdict not in (Verdict.STALE, Verdict.UNKNOWN):
        check_issuance(breaker, verdict)
        return
    with pytest.raises(RefusedError):
        check_issuance(breaker, verdict)


def test_what_is_refused_and_why() -> None:
    one = Decimal(1)
    assert code(book(closed=True), move(Kind.BURN, one)) == "account_closed"
    assert code(book(mode=Mode.EXTERNAL), move(Kind.BURN, one)) == "wrong_ledger_mode"
    assert code(book(), move(Kind.BURN, one), Mode.EXTERNAL) == "wrong_ledger_mode"
    assert code(book(), move(Kind.BURN, Decimal("100.01"))) == "insufficient_holder_balance"
    assert code(book(reserved=Decimal("99.5")), move(Kind.BURN, one)) == "insufficient_available"
    assert code(book(reserved=Decimal("99.5")), move(Kind.TRANSFER, one)) is None
    assert code(book(bank=Decimal(100)), move(Kind.MINT, Decimal("0.01"))) == "not_backed"
    external = book(bank=Decimal(100), mode=Mode.EXTERNAL)
    assert code(external, move(Kind.MINT, one), Mode.EXTERNAL) is None
    assert code(book(currency="JPY"), move(Kind.BURN, Decimal("0.5"))) == "invalid_amount"
    assert code(book(currency="KWD"), move(Kind.BURN, Decimal("0.125"))) is None
    assert code(book("999999999999999999"), move(Kind.MINT, one)) == "ledger_too_large"


@pytest.mark.parametrize("kind", [Kind.BURN, Kind.EMERGENCY_BURN, Kind.TRANSFER, Kind.PAYOUT_SETTLEMENT])
def test_what_a_payout_holds_is_not_spent_otherwise(kind: Kind) -> None:
    kept = book(reserved=Decimal(60), held={"a": Decimal(60)})
    assert code(kept, move(kind, Decimal("40.01"))) == "insufficient_available"
    assert code(kept, move(kind, Decimal("100.01"))) == "insufficient_holder_balance"
    assert code(kept, move(kind, Decimal(40))) is None
    others = book(reserved=Decimal(60), holders={"a": Decimal(40), "c": Decimal(60)}, held={"c": Decimal(60)})
    assert code(others, move(kind, Decimal(40))) is None
