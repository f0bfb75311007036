"""A bank for the demo: keeps books of its own and tells of each movement in a real camt.054.001.08.

It moves small sums in and out, each credit followed by a debit of the same amount, so that accounts stay
backed until somebody else (a `curl`, say) moves them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Final

import msgspec

_LARGEST: Final = 5_000
"""Minor units: fifty dirhams. A message lost to a crash must not look like a break."""

_NOTIFICATION: Final = """<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.054.001.08"><BkToCstmrDbtCdtNtfctn>
<GrpHdr><MsgId>{message}</MsgId><CreDtTm>{now:%Y-%m-%dT%H:%M:%S}+00:00</CreDtTm></GrpHdr>
<Ntfctn><Id>{message}-1</Id><CreDtTm>{now:%Y-%m-%dT%H:%M:%S}+00:00</CreDtTm>
<Acct><Id>{account_id}</Id><Ccy>{currency}</Ccy></Acct>
<Ntry><Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{indicator}</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
<BookgDt><Dt>{now:%Y-%m-%d}</Dt></BookgDt><ValDt><Dt>{now:%Y-%m-%d}</Dt></ValDt>
<AcctSvcrRef>{message}-REF</AcctSvcrRef>
<NtryDtls><TxDtls><Refs><EndToEndId>{message}-E2E</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>
</Ntfctn></BkToCstmrDbtCdtNtfctn></Document>
"""


class SimulatedBank:
    """The bank of the demo accounts; `books` is the file that outlives a crash."""

    def __init__(self, accounts: Sequence[tuple[str, str]], books: Path, random: Random) -> None:
        """`accounts` are numbers with their currencies."""
        self._accounts = accounts
        self._books = books
        books.parent.mkdir(parents=True, exist_ok=True)  # with servers of one's own there is no data directory yet
        self._random = random
        try:
            self._owed: dict[str, int] = msgspec.json.decode(books.read_bytes(), type=dict[str, int])
        except (FileNotFoundError, msgspec.MsgspecError):
            self._owed = {}

    def next_notification(self, now: datetime) -> bytes:
        """Book one movement and return the camt.054 that tells of it. `now` is in UTC.

        The books are written first: a crash may lose a message, but never tells of a debit twice, which
        would look like missing money.
        """
        number, currency = self._random.choice(self._accounts)
        owed = self._owed.get(number, 0)
        minor = owed or self._random.randrange(100, _LARGEST)
        self._owed[number] = 0 if owed else minor
        fresh = self._books.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(self._owed))
        os.replace(fresh, self._books)
        iban = number[:2].isalpha() and number[2:4].isdigit()
        return _NOTIFICATION.format(
            message=f"SIM-{now:%Y%m%d%H%M%S%f}",
            now=now,
            account_id=f"<IBAN>{number}</IBAN>" if iban else f"<Othr><Id>{number}</Id></Othr>",
            currency=currency,
            amount=Decimal(minor).scaleb(-2),
            indicator="DBIT" if owed else "CRDT",
        ).encode()
