"""Amounts as banks and attackers write them: exact, or refused with the field's name."""

from __future__ import annotations

import sys
from decimal import Decimal, Inexact, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_engine.domain.money import (
    CURRENCIES,
    EXACT,
    check_currency,
    check_decimals,
    decimals_of,
    fits,
    in_currency,
    parse_amount,
)
from token_engine.domain.refusal import RefusedError

wholes = st.integers(0, 10**18 - 1)
currencies = st.sampled_from(sorted(CURRENCIES))


def code_of(call: object) -> tuple[str, str | None]:
    assert isinstance(call, RefusedError)
    return call.refusal.code, call.refusal.field


@given(wholes, st.text("0123456789", max_size=12), st.integers(0, 4))
def test_a_plain_decimal_is_read_to_the_digit(whole: int, fraction: str, zeros: int) -> None:
    text = "0" * zeros + str(whole) + (f".{fraction}" if fraction else "")
    assert Fraction(parse_amount(text)) == Fraction(int(f"{whole}{fraction}"), 10 ** len(fraction))


@pytest.mark.parametrize("precision", [1, 5])
def test_the_precision_of_the_surroundings_plays_no_part(precision: int) -> None:
    with localcontext(prec=precision):
        assert str(parse_amount("123456789012345678.12345678")) == "123456789012345678.12345678"
        assert EXACT.add(Decimal("123456789012345678.12345678"), Decimal("0.00000001")) == Decimal(
            "123456789012345678.12345679"
        )


HOSTILE = [
    "", " ", "+1", "-1", "-0", "−1", "1e3", "1E3", "1e-8", "0x10", "NaN", "nan", "sNaN", "Infinity", "inf",
    "1_000", "1,000.00", "1.000,00", "1 000", " 1", "1 ", "1\n", "\t1", "1.", ".5", ".", "1..2", "1.2.3",
    "１００", "١٢٣", "१२३", "1٫5", "1．5", "½", "²", "1\u200b", "\ufeff1", "1\x00", "1d", "1f", "true", "null", "AED 1",
    "1'000", "(1)", "1%", "--1", "0b1", "1e999999999", "9" * 19, "9" * 40, "1" + "0" * 18,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_anything_but_a_plain_decimal_of_18_digits_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(RefusedError) as refused:
        parse_amount(text, "Ntry[1]/Amt")
    assert code_of(refused.value) == ("invalid_amount", "Ntry[1]/Amt")
    assert str(refused.value).startswith("Ntry[1]/Amt: ")


@given(st.text(max_size=30))
def test_no_text_at_all_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        amount = parse_amount(text)
    except RefusedError:
        return
    assert text.isascii()
    assert set(text) <= set("0123456789.")
    assert 0 <= amount < 10**18


def test_a_refusal_of_a_million_characters_quotes_only_their_beginning() -> None:
    with pytest.raises(RefusedError) as refused:
        parse_amount("x" * 1_000_000)
    assert len(str(refused.value)) < 200


def test_digits_without_end_are_refused_and_not_computed_with() -> None:
    with pytest.raises(RefusedError):
        parse_amount("9" * (sys.get_int_max_str_digits() * 10))


def test_leading_zeros_and_trailing_zeros_say_nothing() -> None:
    assert parse_amount("0" * 30 + "1.50") == Decimal("1.5")
    assert check_decimals(parse_amount("10.50000"), "AED") == Decimal("10.5")
    assert check_decimals(parse_amount("1." + "0" * 40), "JPY") == 1


@pytest.mark.parametrize(
    ("text", "currency"),
    [("1.001", "AED"), ("1.1", "JPY"), ("1.0001", "KWD"), ("1.00001", "CLF"), ("0.000000001", "AED"),
     ("999999999999999999.999", "AED"), ("999999999999999999.00000000000000000000001", "AED"), ("0.5", "XOF")],
)  # fmt: skip
def test_more_decimals_than_the_currency_has_are_refused_never_rounded(text: str, currency: str) -> None:
    with pytest.raises(RefusedError) as refused:
        check_decimals(parse_amount(text), currency, "amount")
    assert code_of(refused.value) == ("invalid_amount", "amount")
    assert currency in str(refused.value)


@given(wholes, currencies, st.data())
def test_an_amount_in_minor_units_always_passes_and_one_beyond_never_does(
    whole: int, currency: str, data: st.DataObject
) -> None:
    decimals = decimals_of(currency)
    minor = data.draw(st.integers(0, 10**decimals - 1))
    amount = whole + Decimal(minor).scaleb(-decimals)
    with localcontext(prec=60):
        assert check_decimals(amount, currency) == amount
        beyond = amount + Decimal(data.draw(st.integers(1, 9))).scaleb(-decimals - 1)
        with pytest.raises(RefusedError):
            check_decimals(beyond, currency)


@given(wholes, currencies, st.booleans(), st.data())
def test_written_and_read_again_an_amount_is_the_same_with_its_currencys_decimals(
    whole: int, currency: str, negative: bool, data: st.DataObject
) -> None:
    decimals = decimals_of(currency)
    amount = whole + Decimal(data.draw(st.integers(0, 10**decimals - 1))).scaleb(-decimals)
    at_rest = amount.quantize(Decimal("0.00000001"))  # as NUMERIC(26,8) hands it back
    text = in_currency(-at_rest if negative else at_rest, currency)
    assert Decimal(text) == (-amount if negative else amount)
    assert len(text.partition(".")[2]) == decimals
    assert "E" not in text


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("0E-8", "AED", "0.00"), ("-0E-8", "AED", "0.00"), ("-0", "JPY", "0"), ("1E+3", "AED", "1000.00"),
        ("1000.00000000", "JPY", "1000"), ("0.00000001", "AED", "0.00000001"), ("-0.10000000", "AED", "-0.10"),
        ("1.23400000", "AED", "1.234"), ("1.5", "KWD", "1.500"),
        ("-999999999999999999.99", "AED", "-999999999999999999.99"),
    ],
)  # fmt: skip
def test_amounts_are_written_plainly_and_no_digit_of_theirs_is_hidden(amount: str, currency: str, text: str) -> None:
    assert in_currency(Decimal(amount), currency) == text


def test_sums_that_would_lose_a_digit_raise() -> None:
    with pytest.raises(Inexact):
        EXACT.add(Decimal(10) ** 70, Decimal("0.01"))


@pytest.mark.parametrize("code", ["aed", "AE", "AEDX", "", "XXX", "XTS", "AED ", "ＡＥＤ", "XAU", "ZZZ", "A" * 10_000])
def test_a_currency_is_an_active_code_in_capitals(code: str) -> None:
    with pytest.raises(RefusedError) as refused:
        check_currency(code, "Acct/Ccy")
    assert code_of(refused.value) == ("unknown_currency", "Acct/Ccy")
    assert len(str(refused.value)) < 120


@pytest.mark.parametrize(("code", "decimals"), [("AED", 2), ("USD", 2), ("INR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)])
def test_currencies_have_the_decimals_of_iso_4217(code: str, decimals: int) -> None:
    assert check_currency(code) == code
    assert decimals_of(code) == decimals


@given(wholes, st.text("0123456789", max_size=12), currencies)
def test_an_amount_fits_a_currency_where_no_digit_but_zeros_stands_behind_its_decimals(
    whole: int, fraction: str, currency: str
) -> None:
    amount = parse_amount(f"{whole}.{fraction}" if fraction else str(whole))
    assert fits(amount, currency) is (not fraction[decimals_of(currency) :].strip("0"))
    if fits(amount, currency):
        assert check_decimals(amount, currency) is amount
    else:
        with pytest.raises(RefusedError, match="more than the"):
            check_decimals(amount, currency)
