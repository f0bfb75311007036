"""The engine's connectors, by the access that settings describe: an assertion signed with a key, PS256."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from joserfc.jwk import RSAKey

from simulated_bank.running import BERLIN, CONSENT, UAE, UK, RunningBank
from token_engine.banks.access import Access, open_client
from token_engine.banks.authentication import PrivateKeyJwt
from token_engine.banks.berlin_group import BerlinGroup, BerlinGroupSettings
from token_engine.banks.connector import Connector
from token_engine.banks.secrets import SecretReference
from token_engine.banks.uae_open_finance import UaeOpenFinance, UaeOpenFinanceSettings
from token_engine.banks.uk_open_banking import UkOpenBanking, UkOpenBankingSettings
from token_engine.domain.observation import BankAccount, NoObservation, Observation

_KEY = RSAKey.generate_key(2048)


def ask(
    api: str, bank: RunningBank, account: BankAccount, *, base: str | None = None, seconds: int = 20
) -> Observation | NoObservation:
    """Ask the bank for a balance as the engine does; `base` is how the client calls it, `seconds` how long it waits."""

    async def asked() -> Observation | NoObservation:
        connector = _connector(api, bank, base or bank.url, seconds)
        try:
            return await connector.booked_balance(account, datetime.now(UTC))
        finally:
            await connector.close()

    return asyncio.run(asked())


def _connector(api: str, bank: RunningBank, base: str, seconds: int) -> Connector:
    bank.control("clients", {"id": "signing", "jwk": _KEY.as_dict(private=False), "consents": [CONSENT]})
    key, consent = bank.folder.parent / "key.pem", bank.folder.parent / "consent"
    key.write_bytes(_KEY.as_pem(private=True))
    consent.write_text(CONSENT)
    access: dict[str, Any] = {
        "base_url": base + ("/psd2" if api == BERLIN else ""),
        "answer_seconds": seconds,
        "authentication": PrivateKeyJwt(
            token_endpoint=f"{bank.url}/oauth2/token", client_id="signing", scope="accounts", key_id="1",
            key=SecretReference(file=str(key)), assertion_audience=bank.url,
        ),
    }  # fmt: skip
    client = open_client(Access(**access), lambda: datetime.now(UTC), lambda: str(uuid4()))
    match api:
        case _ if api == BERLIN:
            return BerlinGroup(client, BerlinGroupSettings(consent=SecretReference(file=str(consent))))
        case _ if api == UAE:
            return UaeOpenFinance(client, UaeOpenFinanceSettings())
        case _:
            return UkOpenBanking(client, UkOpenBankingSettings(version="v4.0" if api == UK else "v3.1"))
