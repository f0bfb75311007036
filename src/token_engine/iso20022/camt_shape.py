"""Which texts of a plainly written `Ntry` are which field: found once for all entries whose tags are the same.

A bank writes its entries in a few shapes. Where the tags of an entry are known, its texts are picked by their place,
several times as fast as from a tree of elements. Only what `camt_entry` reads without a doubt has a shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from token_engine.domain.money import UNSTATED
from token_engine.iso20022.camt_tags import ABSENT, NOWHERE, Node, NoShapeError, none, tree


class Shape(msgspec.Struct, frozen=True):
    """The places of an entry's texts, in the order in which `camt_texts` reads them."""

    currency: str
    places: tuple[int, ...]
    """Of the fields with one text each; then of the words that the slices below are about."""
    transaction_code: slice
    """The words of its domain, and the bank's own."""
    detail_code: slice
    unstructured: slice
    structured: slice
    has_status: bool
    has_reversal: bool
    has_booking_date: bool
    has_value_date: bool
    itemised: bool
    """It has details, and these are empty."""


ORDERED: Final = slice(10)
"""The texts of an entry's amount, of two accounts, and of its references."""
SINGLES: Final = slice(10, 19)
"""Of its other fields with one text each."""
PAYMENT_REFERENCES: Final = slice(1, 5)
"""Of a payment in a batch, behind its indicator."""


class DetailShape(msgspec.Struct, frozen=True):
    """The places of the texts of one `TxDtls` of several, in the order in which `camt_texts` reads them."""

    currencies: tuple[str, ...]
    """Of its amounts, of which the first that is the entry's counts."""
    places: tuple[int, ...]
    """Of its indicator and references, the amounts, and what structured references it has."""
    amounts: slice
    structured: slice


def shape_of(tags: Sequence[str], prefix: str) -> Shape | None:
    """The shape of what stands between `<Ntry>` and `</Ntry>`, from its tags in order; None where it has none.

    Tags are nested rightly, or there is no shape. `prefix` is that of `Ntry`, with its colon.
    """
    try:
        return _shape(tree(tags, prefix))
    except NoShapeError:
        return None


def detail_shape_of(tags: Sequence[str], prefix: str) -> DetailShape | None:
    """The shape of what stands between `<TxDtls>` and `</TxDtls>`, as `shape_of`."""
    try:
        return _detail_shape(tree(tags, prefix))
    except NoShapeError:
        return None


def _shape(ntry: Node) -> Shape:
    amt, status, details = ntry.only("Amt"), ntry.only("Sts"), ntry.only("NtryDtls")
    payment = (details and details.only("TxDtls")) or ABSENT
    batch = (details and details.only("Btch")) or ABSENT
    refs = payment.only("Refs") or ABSENT
    parties = payment.only("RltdPties") or ABSENT
    remittance = payment.only("RmtInf") or ABSENT
    if amt is None or amt.currency is None or amt.currency == UNSTATED or ntry.only("CdtDbtInd") is None:
        none("what every entry has is missing")
    booked, valued = ntry.only("BookgDt"), ntry.only("ValDt")
    places = [
        ntry.text("Amt"),
        _account(parties.only("DbtrAcct")),
        _account(parties.only("CdtrAcct")),
        ntry.text("NtryRef"),
        ntry.text("AcctSvcrRef"),
        refs.text("AcctSvcrRef"),
        refs.text("EndToEndId"),
        refs.text("UETR"),
        refs.text("InstrId"),
        refs.text("TxId"),
        ntry.text("CdtDbtInd"),
        ntry.text("RvslInd"),
        NOWHERE if status is None else _status(status),
        NOWHERE if booked is None else _day(booked),
        NOWHERE if valued is None else _day(valued),
        batch.text("PmtInfId"),
        batch.text("MsgId"),
        _name(parties.only("Dbtr")),
        _name(parties.only("Cdtr")),
    ]
    return Shape(
        currency=amt.currency,
        transaction_code=_added(places, _code(ntry.only("BkTxCd"))),
        detail_code=_added(places, _code(payment.only("BkTxCd"))),
        unstructured=_added(places, _texts(child for child in remittance.children if child.name == "Ustrd")),
        structured=_added(places, _structured(remittance)),
        places=tuple(places),
        has_status=status is not None,
        has_reversal=ntry.only("RvslInd") is not None,
        has_booking_date=booked is not None,
        has_value_date=valued is not None,
        itemised=payment is not ABSENT and payment.place == NOWHERE,
    )


def _detail_shape(payment: Node) -> DetailShape:
    refs = payment.only("Refs") or ABSENT
    underlying = payment.only("AmtDtls") or ABSENT
    amounts = ((underlying.only("TxAmt") or ABSENT).only("Amt"), payment.only("Amt"))
    if any(amt is not None and amt.currency == UNSTATED for amt in amounts):
        none("a currency that is none")
    told = [(amt.currency, amt.text()) for amt in amounts if amt is not None and amt.currency is not None]
    places = [
        payment.text("CdtDbtInd"),
        refs.text("EndToEndId"),
        refs.text("UETR"),
        refs.text("InstrId"),
        refs.text("TxId"),
    ]
    return DetailShape(
        currencies=tuple(currency for currency, _ in told),
        amounts=_added(places, [place for _, place in told]),
        structured=_added(places, _structured(payment.only("RmtInf") or ABSENT)),
        places=tuple(places),
    )


def _added(places: list[int], more: Sequence[int]) -> slice:
    begin = len(places)
    places += more
    return slice(begin, len(places))


def _structured(remittance: Node) -> list[int]:
    return [each.text("CdtrRefInf", "Ref") for each in remittance.children if each.name == "Strd"]


def _texts(leaves: Iterable[Node]) -> list[int]:
    return [leaf.text() for leaf in leaves]


def _status(sts: Node) -> int:
    """Text, or a single element with text."""
    return sts.children[0].text() if len(sts.children) == 1 else sts.text()


def _day(dated: Node) -> int:
    day = dated.only("Dt", "DtTm")
    return none("a date without one") if day is None else day.text()


def _name(party: Node | None) -> int:
    """`Nm`, or `Pty/Nm`, and not both."""
    if party is None:
        return NOWHERE
    named = party.only("Nm", "Pty")
    if named is None:
        return NOWHERE
    if named.name == "Nm":
        return named.text()
    return none("a party in a party") if named.only("Pty") else named.text("Nm")


def _account(account: Node | None) -> int:
    identification = account and account.only("Id")
    if identification is None or not identification.children:
        return NOWHERE
    if len(identification.children) > 1:
        none("several account numbers")
    [number] = identification.children
    return number.text() if number.name in ("IBAN", "BBAN", "UPIC") else number.text("Id")


def _code(code: Node | None) -> list[int]:
    """The words of its domain; the bank's own last."""
    if code is None:
        return [NOWHERE]
    if any(child.name not in ("Domn", "Prtry") for child in code.children):
        none("a code of another kind")
    words: list[int] = []
    for part in ((domain := code.only("Domn")) and domain.children) or ():
        words += [part.text()] if part.name == "Cd" else _texts(part.children)
    return [*words, code.text("Prtry", "Cd")]
