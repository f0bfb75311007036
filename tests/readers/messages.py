"""Bank messages written for these tests. `camt` builds one; the rest are its parts."""

from __future__ import annotations

from token_engine.domain.entry import Entry
from token_engine.domain.notification import Heading, Notification
from token_engine.domain.refusal import Refusal
from token_engine.iso20022.reader import read_message

_NAMES = {
    "camt.052": ("BkToCstmrAcctRpt", "Rpt"),
    "camt.053": ("BkToCstmrStmt", "Stmt"),
    "camt.054": ("BkToCstmrDbtCdtNtfctn", "Ntfctn"),
}
ACCOUNT = "<Acct><Id><IBAN>AE070331234567890123456</IBAN></Id><Ccy>AED</Ccy></Acct>"
AMOUNT = '<Amt Ccy="AED">100.00</Amt>'
ENTRY = f"<Ntry>{AMOUNT}<CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts></Ntry>"

JSON = {
    "message_id": "M-1",
    "account_id": "AE070331234567890123456",
    "currency": "AED",
    "credit_debit_indicator": "CRDT",
    "amount": "100000.00",
}

STATEMENT_JSON = {
    "message_id": "STMT-2025-11-18",
    "account_id": "AE070331234567890123456",
    "currency": "AED",
    "statement_date": "2025-11-18",
    "opening_balance": "5000000.00",
    "closing_balance": "5250000.00",
    "entries": [
        {
            "entry_reference": "E001",
            "credit_debit_indicator": "CRDT",
            "amount": "100000.00",
            "end_to_end_id": "E2E-TXN-67890",
        }
    ],
}
"""The specification's example, to the letter."""


def entry(amount: str = AMOUNT, indicator: str = "<CdtDbtInd>CRDT</CdtDbtInd>", rest: str = "<Sts>BOOK</Sts>") -> str:
    return f"<Ntry>{amount}{indicator}{rest}</Ntry>"


def camt(
    *entries: str,
    kind: str = "camt.054",
    version: str = "08",
    head: str = ACCOUNT,
    group: str = "",
    between: str = "",
) -> str:
    """One message with one notification; `head` stands before the entries, `between` before the next."""
    message, section = _NAMES[kind]
    return (
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:{kind}.001.{version}"><{message}>'
        f"<GrpHdr><MsgId>M-1</MsgId><CreDtTm>2025-11-18T10:00:00Z</CreDtTm>{group}</GrpHdr>"
        f"<{section}><Id>N-1</Id>{head}{''.join(entries)}</{section}>{between}</{message}></Document>"
    )


def read(text: str | bytes) -> Notification:
    """The only notification of a message that must be readable."""
    got = read_message(text.encode() if isinstance(text, str) else text)
    assert isinstance(got, tuple), got
    assert len(got) == 1
    return got[0]


def read_entry(text: str | bytes) -> Entry:
    notification = read(text)
    assert len(notification.entries) == 1
    return notification.entries[0]


def read_heading(text: str | bytes) -> Heading:
    return read(text).heading


def refused(text: str | bytes) -> Refusal:
    got = read_message(text.encode() if isinstance(text, str) else text)
    assert isinstance(got, Refusal), got
    return got


OPENING = ":60F:C251117AED1000,00"
CLOSING = ":62F:C251118AED1100,00"
LINE = ":61:2511181118C100,00NTRFCUST-1//BANK-1"


def mt940(
    *lines: str,
    reference: str = ":20:M-1",
    account: str = ":25:AE070331234567890123456",
    number: str = ":28C:321/1",
    opening: str = OPENING,
    closing: str = CLOSING,
) -> str:
    """One statement: its lines stand between its balances. A part that is "" is left out."""
    parts = (reference, account, number, opening, *lines, closing)
    return "\r\n".join(part for part in parts if part) + "\r\n"


def mt942(*lines: str, floor: str = ":34F:AED0,", rest: str = "") -> str:
    """One interim report."""
    parts = (":20:M-1", ":25:AE070331234567890123456", ":28C:7/1", floor, *lines, rest)
    return "\r\n".join(part for part in parts if part) + "\r\n"


def blocks(text: str, type_: str = "940", user: str = "", trailer: str = "{5:{CHK:0123456789AB}}") -> str:
    """A message in the blocks of the network, as a bank received it."""
    header = f"{{1:F01BANKAEADAXXX0000000000}}{{2:O{type_}1200251118BANKAEADAXXX00000000002511181200N}}"
    return f"{header}{user}{{4:\r\n{text}-}}{trailer}"
