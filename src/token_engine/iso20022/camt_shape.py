"""Which texts of a plainly written `Ntry` are which field: found once for all entries whose tags are the same.

A bank writes its entries in a few shapes. Where the tags of an entry are known, its texts are picked by their place,
several times as fast as from a tree of elements. Only what `camt_entry` reads without a doubt has a shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, Final, NoReturn

import msgspec

from token_engine.domain.money import UNSTATED

_TAG: Final = re.compile(r'(/?)([A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)(?: Ccy="([A-Z]{3})")?(/?)', re.ASCII)
_DEEPEST: Final = 16
NOWHERE: Final = -1
"""The place of a text that an entry does not have: the reader puts an empty one at the end of its texts."""

# What would be read as more than an entry, were it not where it is.
_NEVER_INSIDE: Final = frozenset("Ntry Ntfctn Rpt Stmt BkToCstmrAcctRpt BkToCstmrStmt BkToCstmrDbtCdtNtfctn".split())


class NoShapeError(Exception):
    """The entry is to be read by `camt_entry`."""


class Shape(msgspec.Struct, frozen=True):
    """The places of an entry's texts."""

    currency: str
    singles: itemgetter[Any]
    """Of the fields with one text each, in the order that `camt_texts` has them."""
    transaction_code: tuple[tuple[int, ...], int]
    """Of the words of its domain, and of the bank's own."""
    detail_code: tuple[tuple[int, ...], int]
    unstructured: tuple[int, ...]
    structured: tuple[int, ...]
    has_status: bool
    has_reversal: bool
    has_booking_date: bool
    has_value_date: bool


class _Node:
    __slots__ = ("children", "currency", "name", "place")

    def __init__(self, name: str, currency: str | None, place: int) -> None:
        self.name = name
        self.currency = currency
        self.place = place
        """Of the text behind its tag: all of its text, where it has no children."""
        self.children: list[_Node] = []

    def only(self, *names: str) -> _Node | None:
        """The child with one of these names; several have no shape."""
        found = [child for child in self.children if child.name in names]
        if len(found) > 1:
            _none(f"several {names}")
        return found[0] if found else None

    def text(self, *path: str) -> int:
        """The place of the text at a path of names, of which each occurs once at most."""
        node: _Node | None = self
        for name in path:
            node = node and node.only(name)
        if node is None:
            return NOWHERE
        if node.children:
            _none("elements where text is expected")
        return node.place


def shape_of(tags: Sequence[str], prefix: str) -> Shape | None:
    """The shape of what stands between `<Ntry>` and `</Ntry>`, from its tags in order; None where it has none.

    Tags are nested rightly, or there is no shape. `prefix` is that of `Ntry`, with its colon.
    """
    try:
        return _shape(_tree(tags, prefix))
    except NoShapeError:
        return None


def _none(why: str) -> NoReturn:
    raise NoShapeError(why)


def _tree(tags: Sequence[str], prefix: str) -> _Node:
    root = _Node("Ntry", None, 0)
    way = [root]
    for at, tag in enumerate(tags):
        found = _TAG.fullmatch(tag)
        if found is None or (found[2] or "") != prefix:
            _none("a tag with more than its name, or of another namespace")
        closes, _, name, currency, empty = found.groups()
        if closes:
            if currency or empty or len(way) == 1 or way.pop().name != name:
                _none("not nested")
            continue
        if name in _NEVER_INSIDE:
            _none("more than an entry")
        # Texts and tags take turns: the text behind the first tag is the third of them.
        node = _Node(name, currency, NOWHERE if empty else 2 * at + 2)
        way[-1].children.append(node)
        if not empty:
            way.append(node)
            if len(way) > _DEEPEST:
                _none("too deep")
    if len(way) > 1:
        _none("not closed")
    return root


def _shape(ntry: _Node) -> Shape:
    amt, status, details = ntry.only("Amt"), ntry.only("Sts"), ntry.only("NtryDtls")
    payment = (details and details.only("TxDtls")) or _Node("TxDtls", None, NOWHERE)
    batch = (details and details.only("Btch")) or _Node("Btch", None, NOWHERE)
    refs = payment.only("Refs") or _Node("Refs", None, NOWHERE)
    parties = payment.only("RltdPties") or _Node("RltdPties", None, NOWHERE)
    remittance = payment.only("RmtInf") or _Node("RmtInf", None, NOWHERE)
    if amt is None or amt.currency is None or amt.currency == UNSTATED or ntry.only("CdtDbtInd") is None:
        _none("what every entry has is missing")
    booked, valued = ntry.only("BookgDt"), ntry.only("ValDt")
    return Shape(
        currency=amt.currency,
        singles=itemgetter(
            ntry.text("Amt"),
            ntry.text("CdtDbtInd"),
            ntry.text("RvslInd"),
            NOWHERE if status is None else _status(status),
            NOWHERE if booked is None else _day(booked),
            NOWHERE if valued is None else _day(valued),
            ntry.text("NtryRef"),
            ntry.text("AcctSvcrRef"),
            refs.text("AcctSvcrRef"),
            refs.text("EndToEndId"),
            refs.text("UETR"),
            refs.text("InstrId"),
            refs.text("TxId"),
            batch.text("PmtInfId"),
            batch.text("MsgId"),
            _name(parties.only("Dbtr")),
            _account(parties.only("DbtrAcct")),
            _name(parties.only("Cdtr")),
            _account(parties.only("CdtrAcct")),
        ),
        transaction_code=_code(ntry.only("BkTxCd")),
        detail_code=_code(payment.only("BkTxCd")),
        unstructured=tuple(_texts(child for child in remittance.children if child.name == "Ustrd")),
        structured=tuple(each.text("CdtrRefInf", "Ref") for each in remittance.children if each.name == "Strd"),
        has_status=status is not None,
        has_reversal=ntry.only("RvslInd") is not None,
        has_booking_date=booked is not None,
        has_value_date=valued is not None,
    )


def _texts(leaves: Iterable[_Node]) -> Iterable[int]:
    return [leaf.text() for leaf in leaves]


def _status(sts: _Node) -> int:
    """Text, or a single element with text."""
    return sts.children[0].text() if len(sts.children) == 1 else sts.text()


def _day(dated: _Node) -> int:
    day = dated.only("Dt", "DtTm")
    return _none("a date without one") if day is None else day.text()


def _name(party: _Node | None) -> int:
    """`Nm`, or `Pty/Nm`, and not both."""
    if party is None:
        return NOWHERE
    named = party.only("Nm", "Pty")
    if named is None:
        return NOWHERE
    if named.name == "Nm":
        return named.text()
    return _none("a party in a party") if named.only("Pty") else named.text("Nm")


def _account(account: _Node | None) -> int:
    identification = account and account.only("Id")
    if identification is None or not identification.children:
        return NOWHERE
    if len(identification.children) > 1:
        _none("several account numbers")
    [number] = identification.children
    return number.text() if number.name in ("IBAN", "BBAN", "UPIC") else number.text("Id")


def _code(code: _Node | None) -> tuple[tuple[int, ...], int]:
    if code is None:
        return (), NOWHERE
    if any(child.name not in ("Domn", "Prtry") for child in code.children):
        _none("a code of another kind")
    words: list[int] = []
    for part in ((domain := code.only("Domn")) and domain.children) or ():
        words += [part.text()] if part.name == "Cd" else _texts(part.children)
    return tuple(words), code.text("Prtry", "Cd")
