"""Reads what a camt.052, 053 or 054 says before its entries: `GrpHdr`, then `Ntfctn`, `Rpt` or `Stmt`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Final

import msgspec
from lxml.etree import _Element as Element

from token_engine.domain.entry import CreditDebit
from token_engine.domain.money import EXACT
from token_engine.domain.notification import Ending, Heading, MessageKind, StatedBalance
from token_engine.iso20022.words import (
    ACCOUNT_NUMBER_LENGTH,
    ID_LENGTH,
    MESSAGE_ID_LENGTH,
    REFERENCE_LENGTH,
    account_number,
    calendar_date,
    moment,
)
from token_engine.iso20022.xml import (
    FaultError,
    amount,
    before,
    credit_debit,
    currency_code,
    find,
    local,
    named,
    plain_decimal,
    text,
    text_at,
    yes_no,
)

Said = Iterable[Element] | None
"""The children of an element that are complete; None where the element is absent."""

COPIES: Final = frozenset({"CODU", "COPY", "DUPL"})

_SUM_DECIMALS: Final = 17
"""ISO 20022, DecimalNumber: fractionDigits 17."""
_VERSIONED: Final = re.compile(r"camt\.05[234]\.\d{3}\.\d{2}")


class GroupHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What all notifications, reports or statements of one message share."""

    type: str
    message_id: str
    created_at: datetime | None
    copy: bool
    page_number: int | None
    last_page: bool | None


def group_header(message: Element, kind: MessageKind, section_name: str) -> GroupHeader:
    """Read the `GrpHdr` of a message element such as `BkToCstmrStmt`, and its envelope's `AppHdr`."""
    header = find(before(message, section_name), "GrpHdr")
    page_number, last_page = _pagination(header)
    return GroupHeader(
        type=_type_as_sent(message, kind),
        message_id=_bounded(header, MESSAGE_ID_LENGTH, "MsgId"),
        created_at=_created_at(header),
        copy=_is_copy(header) or _envelope_says_copy(message),
        page_number=page_number,
        last_page=last_page,
    )


def heading(section: Element, kind: MessageKind, group: GroupHeader) -> Heading:
    """Read what stands in `Ntfctn`, `Rpt` or `Stmt` before its first `Ntry`.

    A message without `GrpHdr/MsgId` is known by the id of the notification itself. Raises FaultError.
    """
    said = before(section, "Ntry")
    notification_id = _bounded(said, REFERENCE_LENGTH, "Id")
    message_id = group.message_id or notification_id
    if not message_id:
        raise FaultError("missing_field", section, "Id", "neither the message nor this part of it has an id")
    page_number, last_page = _pagination(said)
    period = find(said, "FrToDt")
    return Heading(
        kind=kind,
        type=group.type,
        message_id=message_id,
        notification_id=notification_id or None,
        account_number=_account(section, said),
        currency=_currency(said),
        servicer_bic=_bounded(said, REFERENCE_LENGTH, "Acct", "Svcr", "FinInstnId", "BICFI|BIC") or None,
        created_at=_created_at(said) or group.created_at,
        from_date=_day_at(period, "FrDtTm|FrDt"),
        to_date=_day_at(period, "ToDtTm|ToDt"),
        sequence_number=_bounded(said, ID_LENGTH, "ElctrncSeqNb") or _bounded(said, ID_LENGTH, "LglSeqNb") or None,
        copy=group.copy or _is_copy(said),
        balances=tuple(balance(bal, at) for at, bal in enumerate(named(said, "Bal"), start=1)),
        stated_entries=_count_at(said, "TxsSummry", "TtlNtries", "NbOfNtries"),
        stated_sum=_sum_at(said, "TxsSummry", "TtlNtries", "Sum"),
        page_number=group.page_number if page_number is None else page_number,
        last_page=group.last_page if page_number is None else last_page,
    )


def totals(summary: Element) -> Ending:
    """What a `TxsSummry` that stands behind entries says. Raises FaultError."""
    return Ending(
        stated_entries=_count_at([summary], "TxsSummry", "TtlNtries", "NbOfNtries"),
        stated_sum=_sum_at([summary], "TxsSummry", "TtlNtries", "Sum"),
    )


def _type_as_sent(message: Element, kind: MessageKind) -> str:
    """ "camt.054.001.08" from the namespace; the bare kind where that names none, or another message."""
    versioned = _VERSIONED.search(message.tag)
    return versioned[0] if versioned and versioned[0].startswith(kind.value) else kind.value


def _bounded(said: Said, length: int, *path: str) -> str:
    leaf = find(said, *path)
    if leaf is None:
        return ""
    word = text(leaf, "/".join(path))
    if len(word) > length:
        raise FaultError("text_too_long", leaf, "/".join(path), f"is longer than {length} characters")
    return word


def _currency(said: Said) -> str | None:
    leaf = find(said, "Acct", "Ccy")
    word = "" if leaf is None else text(leaf, "Acct/Ccy")
    return currency_code(word, leaf, "Acct/Ccy") if leaf is not None and word else None


def _account(section: Element, said: Said) -> str:
    """IBAN, or the bank's own number: `Othr/Id` today, `PrtryAcct/Id`, `BBAN` or `UPIC` in older files; where there is
    none, the account's proxy.
    """
    identification = find(said, "Acct", "Id")
    number = account_number(
        text_at(identification, "IBAN")
        or text_at(identification, "Othr|PrtryAcct", "Id")
        or text_at(identification, "BBAN|UPIC")
        or text_at(find(said, "Acct", "Prxy"), "Id")
    )
    if not number:
        raise FaultError("missing_field", section, "Acct/Id", "names no account")
    if len(number) > ACCOUNT_NUMBER_LENGTH:
        raise FaultError("text_too_long", section, "Acct/Id", f"is longer than {ACCOUNT_NUMBER_LENGTH} characters")
    return number


def _created_at(said: Said) -> datetime | None:
    """`CreDtTm`, or None where a bank writes no readable one: it decides nothing about money."""
    try:
        return moment(text_at(said, "CreDtTm"))
    except ValueError:
        return None


def _day_at(period: Element | None, name: str) -> date | None:
    """A day of `FrToDt`, or None where a bank writes no readable one: entries and balances have dates of their own."""
    try:
        return None if period is None else calendar_date(text_at(period, name))
    except ValueError:
        return None


def _is_copy(said: Said) -> bool:
    indicator = find(said, "CpyDplctInd")
    if indicator is not None:
        word = text(indicator, "CpyDplctInd")
        if word not in COPIES:
            raise FaultError("invalid_indicator", indicator, "CpyDplctInd", f"{word[:12]!r} is not CODU, COPY or DUPL")
        return True
    duplicate = find(said, "DplctInd")
    return duplicate is not None and yes_no(duplicate, "DplctInd")


def _envelope_says_copy(message: Element) -> bool:
    """`AppHdr/CpyDplct` beside the `Document`: the business header marks copies too (head.001)."""
    for ancestor in message.iterancestors():
        for header in named(ancestor.itersiblings(preceding=True), "AppHdr"):
            return text_at(header, "CpyDplct") in COPIES
    return False


def _pagination(said: Said) -> tuple[int | None, bool | None]:
    pages = find(said, "NtfctnPgntn|RptPgntn|StmtPgntn|MsgPgntn")
    last = find(pages, "LastPgInd")
    return _count_at(pages, "PgNb"), None if last is None else yes_no(last, "LastPgInd")


def _count_at(said: Said, *path: str) -> int | None:
    leaf = find(said, *path)
    if leaf is None:
        return None
    word = text(leaf, "/".join(path))
    if not (word.isascii() and word.isdecimal() and len(word) <= 15):
        raise FaultError("invalid_number", leaf, "/".join(path), f"{word[:20]!r} is not a count")
    return int(word)


def _sum_at(said: Said, *path: str) -> Decimal | None:
    """A control sum. Some banks state it net, with a sign: a check may fail on that, a reading may not."""
    leaf = find(said, *path)
    if leaf is None:
        return None
    word = text(leaf, "/".join(path))
    below = word.startswith("-") and not word.startswith("-+")
    size = plain_decimal(word[1:] if below else word, leaf, "/".join(path), _SUM_DECIMALS)
    return EXACT.minus(size) if below else size


def balance(bal: Element, at: int) -> StatedBalance:
    """Read the `Bal` that is number `at` of its notification, report or statement. Raises FaultError."""
    place = f"Bal[{at}]"
    stated = find(bal, "Amt")
    if stated is None:
        raise FaultError("missing_field", bal, f"{place}/Amt", "the balance has no amount")
    value, currency = amount(stated, f"{place}/Amt")
    indicator = find(bal, "CdtDbtInd")
    includes = [find(line, "Incl") for line in named(bal, "CdtLine")]
    return StatedBalance(
        # Without a code it is no balance that any rule asks for; that is no reason to refuse the entries.
        code=_bounded(bal, REFERENCE_LENGTH, "Tp", "CdOrPrtry", "Cd|Prtry"),
        amount=value,
        currency=currency,
        # Banks that leave the indicator out have no account in debit to tell apart.
        credit_debit=CreditDebit.CRDT if indicator is None else credit_debit(indicator, f"{place}/CdtDbtInd"),
        as_of=day(find(bal, "Dt"), f"{place}/Dt"),
        at=_time_of(bal),
        includes_credit_line=any(each is not None and yes_no(each, f"{place}/CdtLine/Incl") for each in includes),
        # ExternalBalanceSubType1Code: the balance at the foot or head of a page.
        interim=text_at(bal, "Tp", "SubTp", "Cd") == "INTM",
    )


def _time_of(bal: Element) -> datetime | None:
    """The time of a balance, or None where there is none or no readable one: the day beside it has been read."""
    word = text_at(bal, "Dt", "DtTm")
    try:
        return datetime.fromisoformat(word) if "T" in word else None
    except ValueError:
        return None


def day(element: Element | None, path: str) -> date | None:
    """The date of a `BookgDt`, `ValDt` or balance `Dt`, given as `Dt` or `DtTm`."""
    leaf = find(element, "Dt|DtTm")
    if leaf is None:
        return None
    word = text(leaf, path)
    try:
        return calendar_date(word)
    except ValueError as error:
        raise FaultError("invalid_date", leaf, f"{path}/{local(leaf.tag)}", f"{word[:40]!r} is not a date") from error
