"""What the simulated bank writes: camt.054, camt.052 and camt.053, version .001.08, as ISO 20022 has them.

The same notice, or the same closed day, is always the same bytes: a file that is sent again is the same message.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from token_engine.banks.simulated.words import Account, Entry, Notice, Statement

_DOCUMENT: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="urn:iso:std:iso:20022:tech:xsd:{kind}.001.08"><{root}>\n'
    "<GrpHdr><MsgId>{name}</MsgId><CreDtTm>{made}</CreDtTm></GrpHdr>\n<{part}><Id>{name}-1</Id>{body}</{part}>\n"
    "</{root}></Document>\n"
)


def notification(notice: Notice) -> bytes:
    """camt.054 of one entry. The account and its owner's currency are in it, no balance."""
    moment = notice.entry.booked_at
    return _document(
        "camt.054", "BkToCstmrDbtCdtNtfctn", "Ntfctn", f"SIM-{moment:%Y%m%d%H%M%S%f}-{notice.id}", moment,
        f"<CreDtTm>{_time(moment)}</CreDtTm>{_account(notice.account)}{_line(notice.account, notice.entry)}",
    )  # fmt: skip


def report(account: Account, opening: Decimal, balance: Decimal, entries: Sequence[Entry], now: datetime) -> bytes:
    """camt.052: the booked balance by now, what the last closed day closed with, and the entries since."""
    balances = _balance(account, "OPBD", opening, now.date()) + _balance(account, "ITBD", balance, now)
    return _document(
        "camt.052", "BkToCstmrAcctRpt", "Rpt", f"SIM-R-{now:%Y%m%d%H%M%S%f}-{account.id}", now,
        f"<CreDtTm>{_time(now)}</CreDtTm>{_account(account)}{balances}{_summary(entries)}{_lines(account, entries)}",
    )  # fmt: skip


def statement(closed: Statement) -> bytes:
    """camt.053 of a closed day, with the number that follows the one before."""
    account = closed.account
    balances = _balance(account, "OPBD", closed.opening, closed.first_day)
    balances += _balance(account, "CLBD", closed.closing, closed.day)
    days = f"<FrToDt><FrDtTm>{closed.first_day}T00:00:00Z</FrDtTm><ToDtTm>{closed.day}T23:59:59Z</ToDtTm></FrToDt>"
    return _document(
        "camt.053", "BkToCstmrStmt", "Stmt", f"SIM-S-{closed.day:%Y%m%d}-{account.id}", closed.made_at,
        f"<ElctrncSeqNb>{closed.number}</ElctrncSeqNb><CreDtTm>{_time(closed.made_at)}</CreDtTm>{days}"
        f"{_account(account)}{balances}{_summary(closed.entries)}{_lines(account, closed.entries)}",
    )  # fmt: skip


def drop(folder: Path, name: str, content: bytes) -> Path:
    """Leave a file as a bank does: whole, or not at all. Its name is temporary until the last byte is written."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{name}.part"
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return fresh.rename(folder / name)


def _document(kind: str, root: str, part: str, name: str, made: datetime, body: str) -> bytes:
    return _DOCUMENT.format(kind=kind, root=root, part=part, name=name, made=_time(made), body=body).encode()


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}+00:00"


def _account(account: Account) -> str:
    said = f"<IBAN>{account.number}</IBAN>" if account.iban else f"<Othr><Id>{escape(account.number)}</Id></Othr>"
    return f"<Acct><Id>{said}</Id><Ccy>{account.currency}</Ccy><Nm>{escape(account.holder)}</Nm></Acct>"


def _balance(account: Account, code: str, signed: Decimal, at: date | datetime) -> str:
    when = f"<DtTm>{_time(at)}</DtTm>" if isinstance(at, datetime) else f"<Dt>{at}</Dt>"
    return f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>{_amount(account, signed)}<Dt>{when}</Dt></Bal>"


def _amount(account: Account, signed: Decimal) -> str:
    indicator = "DBIT" if signed < 0 else "CRDT"
    return f'<Amt Ccy="{account.currency}">{abs(signed)}</Amt><CdtDbtInd>{indicator}</CdtDbtInd>'


def _summary(entries: Iterable[Entry]) -> str:
    listed = [abs(entry.amount) for entry in entries if entry.listed]
    total = sum(listed, Decimal(0))
    return f"<TxsSummry><TtlNtries><NbOfNtries>{len(listed)}</NbOfNtries><Sum>{total}</Sum></TtlNtries></TxsSummry>"


def _lines(account: Account, entries: Iterable[Entry]) -> str:
    return "".join(_line(account, entry) for entry in entries if entry.listed)


def _line(account: Account, entry: Entry) -> str:
    # Amount and indicator again: some versions of these messages demand them of each transaction.
    details = _amount(account, entry.amount)
    if entry.end_to_end is not None:
        details = f"<Refs><EndToEndId>{escape(entry.end_to_end)}</EndToEndId></Refs>{details}"
    if entry.text is not None:
        details += f"<RmtInf><Ustrd>{escape(entry.text)}</Ustrd></RmtInf>"
    return (
        f"\n<Ntry>{_amount(account, entry.amount)}<Sts><Cd>BOOK</Cd></Sts>"
        f"<BookgDt><Dt>{entry.booking_date}</Dt></BookgDt><ValDt><Dt>{entry.booking_date}</Dt></ValDt>"
        f"<AcctSvcrRef>{escape(entry.reference)}</AcctSvcrRef>"
        "<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>OTHR</Cd><SubFmlyCd>OTHR</SubFmlyCd></Fmly></Domn></BkTxCd>"
        f"<NtryDtls><TxDtls>{details}</TxDtls></NtryDtls></Ntry>"
    )
