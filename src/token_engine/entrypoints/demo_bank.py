"""The demo's bank: HTTP on loopback, messages over NATS, and files. The engine meets it as it would any other bank.

Each of the demo's accounts is asked in another way: three open banking APIs, and files that the bank leaves.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Final
from uuid import uuid4

import msgspec
import uvicorn
from nats.js import JetStreamContext

from token_engine.banks.access import Access
from token_engine.banks.asking import AskingPolicy
from token_engine.banks.authentication import ClientSecretBasic
from token_engine.banks.berlin_group import BerlinGroupSettings
from token_engine.banks.host_to_host_settings import Folder, HostToHostSettings
from token_engine.banks.secrets import SecretReference
from token_engine.banks.settings import BankSettings, ConnectionSettings
from token_engine.banks.simulated import camt, control
from token_engine.banks.simulated.app import TOKEN_PATH, Bank, app
from token_engine.banks.simulated.berlin_group import BerlinGroup
from token_engine.banks.simulated.books import Books
from token_engine.banks.simulated.faults import Faults
from token_engine.banks.simulated.tokens import SCOPE, Client, Tokens
from token_engine.banks.simulated.traffic import SimulatedBank
from token_engine.banks.uae_open_finance import UaeOpenFinanceSettings
from token_engine.banks.uk_open_banking import UkOpenBankingSettings
from token_engine.storage.database import Database
from token_engine.tiers import connections, demo, polling
from token_engine.tiers.polling import NewPolling

_SUBJECT: Final = "iso20022.camt.054"
_CLIENT: Final = "token-engine"
_ACTOR: Final = "demo"
_EVERY_MINUTES: Final = 15
_SETTLED_SECONDS: Final = 120
_BEARS: Final = AskingPolicy(at_once=16, requests_a_minute=6_000)


class DemoBank:
    """The bank of the demo accounts; what it keeps lies in `folder`."""

    def __init__(self, folder: Path, js: JetStreamContext, clock: Callable[[], datetime]) -> None:
        self._folder = folder
        self._js = js
        self._clock = clock
        self._files = folder / "bank_files"
        self._books = Books(folder / "simulated_bank.db")
        self._books.open_accounts(demo.OPENINGS, "Token Engine demo", clock())
        self._traffic = SimulatedBank(self._books, [number for number, _, _ in demo.OPENINGS], Random())  # noqa: S311
        self._files.mkdir(parents=True, exist_ok=True)

    async def notify(self) -> None:
        """Move some money, and tell of it."""
        notice = self._traffic.next_notification(self._clock())
        if notice is not None:
            await self._js.publish(_SUBJECT, camt.notification(notice))
            self._traffic.told(notice, self._clock())

    async def report(self) -> None:
        """Leave a report of the account that is asked by files, in place of the last one: its balance of now, for its
        entries are notified.
        """
        account = self._books.account(demo.OPENINGS[-1][0])
        assert account is not None  # opened above
        now = self._clock()
        balance = self._books.balance(account, now)
        dropped = camt.drop(self._files, "camt.052.xml", camt.report(account, balance, balance, [], now))
        # Renamed into its place it is whole; one that was just written to is looked at twice before it is believed.
        os.utime(dropped, (now.timestamp() - _SETTLED_SECONDS,) * 2)

    def served(self) -> uvicorn.Config:
        """Its APIs and controls. Whoever may ask has a new secret, in a file that only this user reads."""
        secret, consent = secrets.token_urlsafe(24), str(uuid4())
        for name, value in (("client_secret", secret), ("consent", consent)):
            path = self._secret(name)
            path.touch(mode=0o600)
            path.chmod(0o600)
            path.write_text(value)
        tokens = Tokens(secrets.token_urlsafe)
        tokens.register(Client(id=_CLIENT, secret=secret, consents=frozenset({consent})))
        bank = Bank(
            books=self._books, faults=Faults(), tokens=tokens, clock=self._clock, new_id=lambda: str(uuid4()),
            drop_folder=self._files,
        )  # fmt: skip
        return uvicorn.Config(
            app(bank, *control.routes(bank)), log_level="warning", access_log=False, lifespan="off",
            timeout_graceful_shutdown=1, server_header=False,
        )  # fmt: skip

    async def introduce(self, database: Database, port: int) -> None:
        """Have the engine ask it: a connection for each of its ways to speak, and an account over each."""
        consent = SecretReference(file=str(self._secret("consent").absolute()))
        ways: list[tuple[str, BankSettings, Access | None]] = [
            ("demo-uae-open-finance", UaeOpenFinanceSettings(), self._access(port, "")),
            ("demo-berlin-group", BerlinGroupSettings(consent=consent), self._access(port, BerlinGroup.prefix)),
            ("demo-uk-open-banking", UkOpenBankingSettings(version="v4.0"), self._access(port, "")),
            ("demo-files", HostToHostSettings(place=Folder(path=str(self._files.absolute()))), None),
        ]
        async with database.transaction() as tx:
            for (number, _, _), (name, bank, access) in zip(demo.OPENINGS, ways, strict=True):
                settings = ConnectionSettings(bank=bank, access=access, asking=_BEARS)
                await connections.save(tx, name, msgspec.json.encode(settings), _ACTOR, self._clock())
                if not await polling.is_asked(tx, number, self._clock()):  # what people set since stays as it is
                    how = NewPolling(actor=_ACTOR, connection=name, every_minutes=_EVERY_MINUTES)
                    await polling.save(tx, number, how, self._clock())

    def close(self) -> None:
        """Close the books."""
        self._books.close()

    def _access(self, port: int, prefix: str) -> Access:
        base = f"http://127.0.0.1:{port}"
        secret = SecretReference(file=str(self._secret("client_secret").absolute()))
        grant = ClientSecretBasic(
            token_endpoint=base + TOKEN_PATH, client_id=_CLIENT, scope=SCOPE, client_secret=secret
        )
        return Access(base_url=base + prefix, authentication=grant)

    def _secret(self, name: str) -> Path:
        return self._folder / f"simulated_bank_{name}"


def listen_on_loopback(port: int) -> socket.socket:
    """`port` of loopback, or any that is free."""
    for wanted in (port, 0):
        listener = socket.socket(socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", wanted))
            listener.listen()
            return listener
        except OSError:
            listener.close()
            if wanted == 0:
                raise
    raise AssertionError("unreachable: port 0 binds or raises")
