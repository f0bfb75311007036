"""SWIFT MT940 and MT950 statements, MT942 reports, MT900 and MT910 notifications, as a stream.

They become the same domain values as camt messages. Source: SWIFT Standards MT, category 9.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from token_engine.domain.entry import CreditDebit, Entry, EntryStatus
from token_engine.domain.money import EXACT
from token_engine.domain.notification import Ending, Heading, MessageKind, StatedBalance
from token_engine.domain.refusal import RefusedError
from token_engine.iso20022.mt_details import Details, details
from token_engine.iso20022.mt_fields import END, MONEY, Field, fields
from token_engine.iso20022.mt_heading import (
    BALANCES,
    account,
    balance,
    created_at,
    currency_of,
    dated_amount,
    message_id,
    numbered,
    total,
)
from token_engine.iso20022.mt_line import StatementLine, statement_line
from token_engine.iso20022.mt_values import short_date
from token_engine.iso20022.utf8 import Utf8Stream
from token_engine.iso20022.words import NAME_LENGTH, REFERENCE_LENGTH, account_number, is_iban, reference, written

_KINDS: Final = {
    "900": MessageKind.NOTIFICATION,
    "910": MessageKind.NOTIFICATION,
    "940": MessageKind.STATEMENT,
    "942": MessageKind.REPORT,
    "950": MessageKind.STATEMENT,
}
# Each of these stands in one type only (an MT950 is an MT940 without :86:, and told by its header alone).
_TELLS: Final = dict.fromkeys(("60F", "60M", "62F", "62M", "64", "65"), "940") | dict.fromkeys(
    ("34F", "90C", "90D"), "942"
)
_ADVICE: Final = frozenset(("900", "910"))
_COMMON: Final = frozenset("20 21 25 25P 13D".split())
_STATED: Final = _COMMON | frozenset("28 28C 61 86 NS".split())
_STATEMENT: Final = _STATED | BALANCES.keys()
_ALLOWED: Final = {
    "900": _COMMON | frozenset("32A 50A 50F 50K 52A 52D 72 71B".split()),
    "910": _COMMON | frozenset("32A 50A 50F 50K 52A 52D 56A 56D 72".split()),
    "940": _STATEMENT,
    "942": _STATED | frozenset("13 34F 90C 90D".split()),
    "950": _STATEMENT,
}
_HEAD: Final = frozenset("13 13D 21 25 25P 28 28C 32A 34F 50F 50K 60F 60M 72".split())
"""What is read of the fields before the first statement line."""
_REPEATED: Final = frozenset("34F 61 65 86 NS".split())

DETAIL_LINES: Final = 200
"""The most lines of :86: that are kept of one entry; SWIFT allows six."""
FORWARD_BALANCES: Final = 400


def kind_in(stream: Utf8Stream) -> MessageKind | None:
    """What the first message is, by the header before it, or by the first field that only one type has.

    Raises RefusedError where nothing can be read.
    """
    for field in fields(stream):
        if type_ := field.type or _TELLS.get(field.tag):
            return _KINDS.get(type_)
        if field.tag == END:
            break
    return None


def sections(stream: Utf8Stream) -> Iterator[Heading | Entry | Ending]:
    """Yield each message's heading, then its entries, then what it says after them, as they are read.

    Memory is bounded by one entry and its details. Raises RefusedError naming message, field and line; what
    was yielded before it is then void.
    """
    walk: _Walk | None = None
    messages = 0
    for field in fields(stream):
        if walk is None:
            walk = _Walk(field)
            messages += 1
        yield from walk.take(field)
        if field.tag == END:
            walk = None
    if not messages:
        raise RefusedError("not_a_bank_message", "SWIFT blocks without a message: no :20: begins one")


class _Walk:
    """One message: its head is gathered, its statement lines are read one by one, its end is gathered."""

    def __init__(self, reference_field: Field) -> None:
        self._type = reference_field.type
        self._uetr = reference_field.uetr
        self._reference = reference_field
        self._head: dict[str, Field] = {}
        self._tail: dict[str, Field] = {}
        self._forward: list[StatedBalance] = []
        self._currency: str | None = None
        self._heading_told = False
        self._line: StatementLine | None = None
        self._details: list[str] = []
        if self._type is not None and self._type not in _KINDS:
            reference_field.refuse(
                "not_a_bank_message", f"is of a SWIFT MT{self._type}, which is no statement or advice of an account"
            )

    def take(self, field: Field) -> Iterator[Heading | Entry | Ending]:
        """Read the next field, yield what it completes."""
        tag = field.tag
        if tag == "86":
            if self._line is not None:
                self._details += field.lines[: DETAIL_LINES - len(self._details)]
            return
        # What is not of money may stand between a line and its details (:NS:).
        if (line := self._line) is not None and (tag == END or tag[:2] in MONEY):
            if tag == END and line.ends_with_amount and not self._details:
                field.refuse("cut_short", "the last line ends with its amount, of which a part may be missing")
            yield self._entry(line)
            self._line = None
            self._details = []
        if tag == END:
            yield from self._end(field)
            return
        self._check_expected(field)
        if tag == "61":
            if not self._heading_told:
                yield self._heading()
            assert self._currency is not None
            self._line = statement_line(field, self._currency)
        elif tag in ("62F", "62M", "64", "65", "90C", "90D"):
            if not self._heading_told:
                yield self._heading()
            assert self._currency is not None
            if tag == "65":
                self._forward.append(balance(field, self._currency))
                if len(self._forward) > FORWARD_BALANCES:
                    field.refuse("too_large", f"there are more than {FORWARD_BALANCES} of them")
            self._tail[tag] = field
        elif tag == "34F" and tag in self._head:
            if currency_of(field) != currency_of(self._head[tag]):
                field.refuse("wrong_currency", "the floor limits are in two currencies", "currency")
        elif tag in _HEAD:
            self._head.setdefault(tag, field)

    def _check_expected(self, field: Field) -> None:
        tag = field.tag
        if self._type is None:
            self._type = _TELLS.get(tag)
        if self._type is not None and tag[:2] in MONEY and tag not in _ALLOWED[self._type]:
            field.refuse("unexpected_field", f"has no place in an MT{self._type}")
        if tag in _REPEATED or tag[:2] not in MONEY:
            at_its_end = "62F" in self._tail or "62M" in self._tail
            if tag == "61" and (at_its_end or "90C" in self._tail or "90D" in self._tail):
                field.refuse("unexpected_field", "stands behind the end of the statement lines")
            return
        if tag in self._head or tag in self._tail:
            field.refuse("repeated_field", "occurs twice in one message")
        if self._heading_told and tag[:2] in ("25", "28", "60"):
            field.refuse("unexpected_field", "stands behind a statement line")

    def _required(self, *tags: str) -> Field:
        found = next((self._head[tag] for tag in tags if tag in self._head), None)
        if found is None:
            self._reference.refuse("missing_field", f"the message has no :{tags[0]}:")
        return found

    @property
    def _number(self) -> Field | None:
        return self._head.get("28C") or self._head.get("28")

    def _heading(self) -> Heading:
        """The heading of a statement or report, once its first line or its end is reached."""
        if self._type is None or self._type in _ADVICE:
            self._required("60F", "60M")
        opening = self._required("34F") if self._type == "942" else self._required("60F", "60M")
        if "60F" in self._head and "60M" in self._head:
            self._head["60M"].refuse("repeated_field", "the message has two opening balances")
        self._currency = currency_of(opening)
        sequence_number, page_number = numbered(self._number, of_page=opening.tag == "60M")
        self._heading_told = True
        return self._headed(
            self._currency,
            sequence_number=sequence_number,
            page_number=page_number,
            balances=() if self._type == "942" else (balance(opening, self._currency),),
        )

    def _headed(
        self,
        currency: str,
        sequence_number: str | None = None,
        page_number: int | None = None,
        balances: tuple[StatedBalance, ...] = (),
    ) -> Heading:
        assert self._type is not None
        number, bic = account(self._required("25", "25P"), currency)
        return Heading(
            kind=_KINDS[self._type],
            type=f"MT{self._type}",
            message_id=message_id(self._reference),
            account_number=number,
            currency=currency,
            servicer_bic=bic,
            created_at=created_at(self._head.get("13D") or self._head.get("13")),
            sequence_number=sequence_number,
            page_number=page_number,
            balances=balances,
        )

    def _entry(self, line: StatementLine) -> Entry:
        text = self._details or line.supplement
        told = details(text, line.credit_debit) if text else _NO_DETAILS
        assert self._currency is not None
        return Entry(
            amount=line.amount,
            currency=self._currency,
            credit_debit=line.credit_debit,
            status=line.status,
            reversal=line.reversal,
            booking_date=line.entry_date,
            value_date=line.value_date,
            servicer_reference=line.servicer_reference,
            end_to_end_id=told.end_to_end_id,
            uetr=told.uetr,
            instruction_id=told.instruction_id or line.owner_reference,
            counterparty=told.counterparty,
            counterparty_account=told.counterparty_account or _iban_among(line.supplement),
            creditor_reference=told.creditor_reference,
            remittance=told.remittance,
            transaction_code=line.transaction_code,
        )

    def _end(self, field: Field) -> Iterator[Heading | Entry | Ending]:
        if self._type in _ADVICE:
            yield from self._advice(self._type)
            return
        if "32A" in self._head:
            self._head["32A"].refuse(
                "not_a_bank_message", "only the SWIFT header tells an MT900 from an MT910, and there is none"
            )
        if not self._heading_told:
            yield self._heading()
        assert self._currency is not None
        if self._type == "942":
            yield self._counted(self._currency)
            return
        closing = self._tail.get("62F") or self._tail.get("62M")
        if closing is None:
            field.refuse("cut_short", "the closing balance is missing: the statement is cut short")
        if "62F" in self._tail and "62M" in self._tail:
            self._tail["62M"].refuse("repeated_field", "the message has two closing balances")
        if closing.tag == "62M":
            numbered(self._number, of_page=True)
        available = [self._tail["64"]] if "64" in self._tail else []
        yield Ending(
            balances=(*(balance(each, self._currency) for each in (closing, *available)), *self._forward),
            last_page=closing.tag == "62F",
        )

    def _counted(self, currency: str) -> Ending:
        """The totals of an MT942, checkable where both are told."""
        if not ("90C" in self._tail and "90D" in self._tail):
            return Ending()
        credits, credited = total(self._tail["90C"], currency)
        debits, debited = total(self._tail["90D"], currency)
        counted = None if credits is None or debits is None else credits + debits
        return Ending(stated_entries=counted, stated_sum=EXACT.add(credited, debited))

    def _advice(self, type_: str) -> Iterator[Heading | Entry]:
        """An MT900 tells of one debit, an MT910 of one credit. :20: is what :61: gives behind its //."""
        stated = self._required("32A")
        day, currency, value = dated_amount(stated)
        try:
            value_date = short_date(day)
        except ValueError:
            stated.refuse("invalid_date", f"{day!r} is no date", "value date")
        side = CreditDebit.DBIT if type_ == "900" else CreditDebit.CRDT
        told = details(self._head["72"].lines, side) if "72" in self._head else _NO_DETAILS
        name, number = self._ordering_customer()
        heading = self._headed(currency)
        yield heading
        yield Entry(
            amount=value,
            currency=currency,
            credit_debit=side,
            status=EntryStatus.BOOK,
            value_date=value_date,
            servicer_reference=reference(heading.message_id),
            end_to_end_id=told.end_to_end_id,
            uetr=told.uetr or self._uetr,
            instruction_id=told.instruction_id or self._related_reference(),
            counterparty=name,
            counterparty_account=number,
            creditor_reference=told.creditor_reference,
            remittance=told.remittance,
        )

    def _related_reference(self) -> str | None:
        """:21: of an advice, the account owner's reference of what caused it."""
        field = self._head.get("21")
        if field is None:
            return None
        if len(field.text) > REFERENCE_LENGTH:
            field.refuse("text_too_long", f"is longer than {REFERENCE_LENGTH} characters")
        return reference(field.text)

    def _ordering_customer(self) -> tuple[str | None, str | None]:
        """Name and account of :50K: or :50F:, where each stands on a line of its own ("/account", "1/name")."""
        field = self._head.get("50K") or self._head.get("50F")
        if field is None:
            return None, None
        number = field.text[1:].strip() if field.text.startswith("/") else None
        names = field.more if number is not None or field.tag == "50F" else field.lines
        return written(names[0].removeprefix("1/"), NAME_LENGTH) if names else None, number or None


def _iban_among(supplement: list[str]) -> str | None:
    """Dutch banks give the other party's account in the supplementary details of :61:."""
    number = account_number(supplement[0]) if supplement else ""
    return number if is_iban(number) else None


_NO_DETAILS: Final = Details()
