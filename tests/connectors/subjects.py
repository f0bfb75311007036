"""What the conformance suite needs to know of a connector to hold it to the same demands as all the others.

To add a connector, write a `Subject`: how its bank says given balances, in its own dialect, over the real thing (HTTP,
files). One that speaks HTTP extends `HttpSubject` and takes part in the tests of HTTP's faults too. Then name it in
`SUBJECTS`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Final, Literal, Protocol

import httpx2
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from connectors.bank import Bank, Reply, Request, Server, ok
from token_engine.banks.access import Access, open_client
from token_engine.banks.authentication import BearerToken
from token_engine.banks.berlin_group import BerlinGroup, BerlinGroupSettings
from token_engine.banks.connector import Connector
from token_engine.banks.declared import DeclaredJson, JsonSettings, Sign
from token_engine.banks.host_to_host import Collected, HostToHost, mailbox_of
from token_engine.banks.host_to_host_settings import Folder, HostToHostSettings
from token_engine.banks.mailbox import ListedFile
from token_engine.banks.secrets import SecretReference
from token_engine.banks.uae_open_finance import UaeOpenFinance, UaeOpenFinanceSettings
from token_engine.banks.uk_open_banking import UkOpenBanking, UkOpenBankingSettings
from token_engine.domain.observation import BankAccount, Freshness

NOW: Final = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
MIDNIGHT: Final = datetime(2026, 11, 23, tzinfo=UTC)
ACCOUNT: Final = BankAccount(number="AE070331234567890123456", currency="AED", resource="resource-1")
UNNAMED: Final = msgspec.structs.replace(ACCOUNT, resource=None)
DEFAULT: Final = Freshness()
SECRET: Final = "s3cr3t-c0nsent-and-key"
os.environ["TEST_CONNECTORS_SECRET"] = SECRET
REFERENCE: Final = SecretReference(env="TEST_CONNECTORS_SECRET")

Kind = Literal["interim", "closing", "opening", "available", "expected"]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A balance that the bank is to say. A closing or opening one is as of a midnight."""

    amount: Decimal
    kind: Kind = "interim"
    currency: str = "AED"
    as_of: datetime = NOW - timedelta(minutes=5)
    credit_line: bool = False


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """What the bank says when it is asked for ACCOUNT."""

    told: Sequence[Told]
    another_account: bool = False
    """The answer names another account than the one that was asked for."""


class Subject(Protocol):
    """A connector under test, and a bank that speaks to it."""

    @property
    def name(self) -> str:
        """For the ids of tests."""
        ...

    @property
    def kinds(self) -> frozenset[Kind]:
        """What the bank's dialect has words for. "interim" is among them."""
        ...

    def telling(
        self, server: Server, books: Books, freshness: Freshness = ...
    ) -> AbstractAsyncContextManager[Connector]:
        """A connector to a bank whose books these are (days are of UTC). `server` serves those who need one."""
        ...


@cache
def _authority() -> SecretReference:
    """Of nobody: reading those that the system trusts takes longer than a test."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")])
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    os.environ["TEST_CONNECTORS_AUTHORITY"] = built.public_bytes(Encoding.PEM).decode()
    return SecretReference(env="TEST_CONNECTORS_AUTHORITY")


class HttpSubject:
    """A connector that speaks HTTP."""

    name: ClassVar[str]
    kinds: ClassVar[frozenset[Kind]] = frozenset({"interim", "closing", "opening", "available", "expected"})
    lists_accounts: ClassVar[bool] = True

    def connector(self, client: httpx2.AsyncClient, freshness: Freshness = DEFAULT) -> Connector:
        raise NotImplementedError

    def balances(self, books: Books, resource: str) -> Any:
        """The JSON that says them."""
        raise NotImplementedError

    def accounts(self, listed: Sequence[tuple[str, str, str]], link: str | None) -> Any:
        """The JSON of one page of the list: name, number and currency of each; `link` leads to the next page."""
        raise NotImplementedError

    def respond(self, books: Books, request: Request) -> Reply:
        """As a bank in good order answers."""
        if request.path.endswith("/accounts"):
            return ok(self.accounts([("resource-1", ACCOUNT.number, "AED")], None))
        return ok(self.balances(books, "resource-1"))

    @asynccontextmanager
    async def to(
        self, bank: Bank, freshness: Freshness = DEFAULT, seconds: float = 10, connections: int = 64
    ) -> AsyncIterator[Connector]:
        """A connector to this bank, over the access that production has."""
        token = BearerToken(token=REFERENCE)
        access = Access(
            base_url=bank.base_url, authentication=token, certificate_authorities=_authority(), connections=connections
        )
        client = open_client(access, clock=lambda: NOW)
        client.timeout = httpx2.Timeout(seconds)
        connector = self.connector(client, freshness)
        try:
            yield connector
        finally:
            await connector.close()

    @asynccontextmanager
    async def telling(self, server: Server, books: Books, freshness: Freshness = DEFAULT) -> AsyncIterator[Connector]:
        with server.bank() as bank:
            bank.respond = lambda request: self.respond(books, request)
            async with self.to(bank, freshness) as connector:
                yield connector


class BerlinSubject(HttpSubject):
    name = "berlin_group"
    _words: ClassVar = {"interim": "interimBooked", "closing": "closingBooked", "opening": "openingBooked"} | {
        "available": "interimAvailable", "expected": "expected"
    }  # fmt: skip

    def connector(self, client: httpx2.AsyncClient, freshness: Freshness = DEFAULT) -> Connector:
        return BerlinGroup(client, BerlinGroupSettings(consent=REFERENCE, time_zone="UTC", freshness=freshness))

    def accounts(self, listed: Sequence[tuple[str, str, str]], link: str | None) -> Any:
        accounts = [{"resourceId": r, "iban": n, "currency": c, "product": "Safeguarding"} for r, n, c in listed]
        return {"accounts": accounts} | ({"_links": {"next": {"href": link}}} if link else {})

    def balances(self, books: Books, resource: str) -> Any:
        iban = "DE89370400440532013000" if books.another_account else ACCOUNT.number
        return {"account": {"iban": iban}, "balances": [self._balance(told) for told in books.told]}

    def _balance(self, told: Told) -> Any:
        said: dict[str, Any] = {
            "balanceType": self._words[told.kind],
            "balanceAmount": {"currency": told.currency, "amount": f"{told.amount:f}"},
            "creditLimitIncluded": told.credit_line,
        }
        match told.kind:
            case "closing":
                return said | {"referenceDate": (told.as_of - timedelta(days=1)).date().isoformat()}
            case "opening":
                return said | {"referenceDate": told.as_of.date().isoformat()}
            case _:
                return said | {"lastChangeDateTime": told.as_of.isoformat()}


class UkSubject(HttpSubject):
    name = "uk_open_banking v3.1"
    _version: ClassVar[Literal["v3.1", "v4.0"]] = "v3.1"
    _words: ClassVar = {"interim": "InterimBooked", "closing": "ClosingBooked", "opening": "OpeningBooked"} | {
        "available": "InterimAvailable", "expected": "Expected"
    }  # fmt: skip

    def connector(self, client: httpx2.AsyncClient, freshness: Freshness = DEFAULT) -> Connector:
        settings = UkOpenBankingSettings(version=self._version, time_zone="UTC", freshness=freshness)
        return UkOpenBanking(client, settings)

    def accounts(self, listed: Sequence[tuple[str, str, str]], link: str | None) -> Any:
        accounts = [
            {"AccountId": r, "Currency": c, "Account": [{"SchemeName": "UK.OBIE.IBAN", "Identification": n}]}
            for r, n, c in listed
        ]
        return self._envelope({"Account": accounts}, link)

    def balances(self, books: Books, resource: str) -> Any:
        told = [self._balance(each) for each in books.told]
        of = {"AccountId": "another" if books.another_account else resource}
        return self._envelope({"Balance": [of | each for each in told]}, None)

    def _envelope(self, data: Any, link: str | None) -> Any:
        return {"Data": data, "Links": {"Self": "here"} | ({"Next": link} if link else {}), "Meta": {"TotalPages": 1}}

    def _balance(self, told: Told) -> Any:
        line = {"Type": "Emergency", "Amount": {"Amount": "5.00", "Currency": told.currency}}
        return {
            "Type": self._words[told.kind],
            "CreditDebitIndicator": "Debit" if told.amount < 0 else "Credit",
            "DateTime": told.as_of.isoformat(),
            "Amount": {"Amount": f"{abs(told.amount):f}", "Currency": told.currency},
            "CreditLine": [line | {"Included": False}, line | {"Included": told.credit_line}],
        }


class UkFourSubject(UkSubject):
    name = "uk_open_banking v4.0"
    _version = "v4.0"
    _words: ClassVar = {
        "interim": "ITBD", "closing": "CLBD", "opening": "OPBD", "available": "ITAV", "expected": "XPCD"
    }  # fmt: skip


class UaeSubject(UkSubject):
    name = "uae_open_finance"

    def connector(self, client: httpx2.AsyncClient, freshness: Freshness = DEFAULT) -> Connector:
        return UaeOpenFinance(client, UaeOpenFinanceSettings(time_zone="UTC", freshness=freshness))

    def accounts(self, listed: Sequence[tuple[str, str, str]], link: str | None) -> Any:
        accounts = [
            {"AccountId": r, "Currency": c, "AccountIdentifiers": [{"SchemeName": "IBAN", "Identification": n}]}
            for r, n, c in listed
        ]
        return self._envelope({"Account": accounts}, link)

    def balances(self, books: Books, resource: str) -> Any:
        of = "another" if books.another_account else resource
        return self._envelope({"AccountId": of, "Balance": [self._balance(told) for told in books.told]}, None)


class DeclaredSubject(HttpSubject):
    name = "json"
    kinds = frozenset({"interim", "available", "expected"})
    lists_accounts = False

    def connector(self, client: httpx2.AsyncClient, freshness: Freshness = DEFAULT) -> Connector:
        settings = JsonSettings(
            url="accounts/{number}/balances?currency={currency}",
            balances="$.result.balances[?@.state == 'interim']",
            amount="@.value",
            currency="@.ccy",
            as_of="@.at",
            sign=Sign(path="@.side", credit="C", debit="D"),
            account="$.result.iban",
            credit_line_included="@.with_limit",
            headers={"X-Api-Key": REFERENCE},
            freshness=freshness,
        )
        return DeclaredJson(client, settings)

    def balances(self, books: Books, resource: str) -> Any:
        told = [
            {
                "state": t.kind, "value": abs(t.amount), "ccy": t.currency, "at": t.as_of.isoformat(),
                "side": "D" if t.amount < 0 else "C", "with_limit": t.credit_line,
            }
            for t in books.told
        ]  # fmt: skip
        iban = "AE460090000000123456789" if books.another_account else ACCOUNT.number
        return {"result": {"iban": iban, "balances": told}}


class FilesSubject:
    """A bank that leaves a camt.052 in a folder. All its files have been taken in before it is asked."""

    name: ClassVar[str] = "host_to_host"
    kinds: ClassVar[frozenset[Kind]] = HttpSubject.kinds
    _words: ClassVar = UkFourSubject._words

    @asynccontextmanager
    async def telling(self, server: Server, books: Books, freshness: Freshness = DEFAULT) -> AsyncIterator[Connector]:
        async def deliver(file: ListedFile, path: Path) -> None:
            """The road is not asked here (tests/road)."""

        async def delivered(files: Sequence[ListedFile]) -> set[ListedFile]:
            return set()

        with TemporaryDirectory() as folder:
            file = Path(folder) / "report.xml"
            file.write_text(self._report(books))
            written_at = max([NOW, *(told.as_of for told in books.told)]).timestamp()
            os.utime(file, (written_at, written_at))
            settings = HostToHostSettings(place=Folder(folder), freshness=freshness)
            connector = HostToHost(mailbox_of(settings), deliver, delivered, settings)
            taken = await connector.collect(NOW + timedelta(days=2))
            assert taken == Collected(delivered=1, failed=0, unsettled=0)
            try:
                yield connector
            finally:
                await connector.close()

    def _report(self, books: Books) -> str:
        number = "AE460090000000123456789" if books.another_account else ACCOUNT.number
        return (
            '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.052.001.08"><BkToCstmrAcctRpt><GrpHdr>'
            f"<MsgId>M</MsgId></GrpHdr><Rpt><Id>R</Id><Acct><Id><IBAN>{number}</IBAN></Id></Acct>"
            f"{''.join(map(self._balance, books.told))}</Rpt></BkToCstmrAcctRpt></Document>"
        )

    def _balance(self, told: Told) -> str:
        match told.kind:
            case "closing":
                at = f"<Dt>{(told.as_of - timedelta(days=1)).date()}</Dt>"
            case "opening":
                at = f"<Dt>{told.as_of.date()}</Dt>"
            case _:
                at = f"<DtTm>{told.as_of.isoformat()}</DtTm>"
        return (
            f"<Bal><Tp><CdOrPrtry><Cd>{self._words[told.kind]}</Cd></CdOrPrtry></Tp>"
            f"<CdtLine><Incl>{str(told.credit_line).lower()}</Incl></CdtLine>"
            f'<Amt Ccy="{told.currency}">{abs(told.amount):f}</Amt>'
            f"<CdtDbtInd>{'DBIT' if told.amount < 0 else 'CRDT'}</CdtDbtInd><Dt>{at}</Dt></Bal>"
        )


HTTP_SUBJECTS: Final = (BerlinSubject(), UkSubject(), UkFourSubject(), UaeSubject(), DeclaredSubject())
SUBJECTS: Final[tuple[Subject, ...]] = (*HTTP_SUBJECTS, FilesSubject())
