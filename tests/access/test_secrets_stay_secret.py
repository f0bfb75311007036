"""Everything logged, raised and shown while credentials are used, looked through for them."""

from __future__ import annotations

import asyncio
import logging
import traceback
from pathlib import Path
from urllib.parse import quote_plus

import httpx2
import pytest

from access.conftest import Provider
from access.test_handshake import access, authentications, by_assertion, utc_now
from access.test_tokens import settings
from access.token_bank import TokenBank, listening
from token_engine.banks.access import Access, open_client
from token_engine.banks.authentication import ApiKey
from token_engine.banks.secrets import SecretReference


class Shown:
    """What a person, a log or an error report might get to see."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._log = caplog
        self._seen: list[str] = []
        self.requests: list[str] = []

    async def of(self, access: Access, count: int = 1) -> None:
        async with open_client(access, utc_now) as client:
            self._seen += [repr(access), repr(client), repr(client.auth), repr(vars(client.auth))]
            for _ in range(count):
                try:
                    response = await client.get("/accounts")
                    self._seen += [repr(response), repr(response.request)]
                    self.requests.append(response.request.headers.get("authorization", ""))
                except httpx2.HTTPError as error:
                    # As an error reporter would show it, local variables of every frame among them.
                    whole = traceback.TracebackException.from_exception(error, capture_locals=True)
                    self._seen += [repr(error), str(error), repr(vars(error)), *whole.format()]
            for value in vars(client.auth).values():
                self._seen += [repr(value), repr(getattr(value, "__dict__", ""))]

    def text(self) -> str:
        lines = [line.getMessage() + repr(line.__dict__) for line in self._log.records]
        return "\n".join(self._seen + lines)


@pytest.fixture
def shown(caplog: pytest.LogCaptureFixture) -> Shown:
    caplog.set_level(logging.DEBUG)
    return Shown(caplog)


def assert_absent(secrets: list[str], text: str) -> None:
    assert len(text) > 1000
    for secret in secrets:
        for form in {secret, quote_plus(secret), secret.encode().hex()}:
            assert len(form) >= 8
            at = text.find(form)
            assert at == -1, text[max(0, at - 300) : at + 100]


@pytest.mark.parametrize("way", ["PS256", "basic", "post"])
def test_of_a_handshake_nothing_is_shown(provider: Provider, shown: Shown, way: str) -> None:
    asyncio.run(shown.of(access(provider, authentications(provider)[way])))
    asyncio.run(shown.of(access(provider, by_assertion(provider, "wrong.pem"))))
    asyncio.run(shown.of(access(provider, by_assertion(provider, "authority.pem"))))
    token = shown.requests[0].removeprefix("Bearer ")
    assert len(token) > 20
    keys = [(provider.folder / name).read_text().splitlines() for name in ("client.key", "rsa.pem", "wrong.pem")]
    assert_absent([token, "a+b c:/%", *(line for key in keys for line in key[1:-2])], shown.text())


def test_of_a_bank_that_repeats_what_it_was_sent_nothing_is_shown(tmp_path: Path, shown: Shown) -> None:
    secret = tmp_path / "secret"

    async def story() -> None:
        bank = TokenBank()
        async with listening(bank) as url:
            secret.write_text("first-secret")
            await shown.of(settings(url, secret), 2)
            bank.tokens.clear()
            bank.reply = lambda: (200, {}, b'{"access_token": "half-a-token')
            await shown.of(settings(url, secret))
            bank.reply = lambda: (200, {}, b'{"access_token": ["tokens-in-a-list"], "token_type": "type-of-token"}')
            await shown.of(settings(url, secret))
            bank.reply = lambda: (400, {}, b'{"error": "first-secret"}')
            await shown.of(settings(url, secret))
            bank.reply = lambda: None
            secret.write_text("other-secret")
            await shown.of(settings(url, secret), 2)
            secret.write_text("line-one\nline-two")
            await shown.of(
                Access(base_url=url, authentication=ApiKey(header="X-Key", key=SecretReference(file=str(secret))))
            )
            secret.write_bytes(b"not-text-\xff")
            await shown.of(settings(url, secret))

    asyncio.run(story())
    assert shown.requests[0] == "Bearer very-secret-token-1"
    secrets = (
        "first-secret other-secret very-secret-token half-a-token tokens-in-a-list type-of-token line-one not-text-"
    )
    assert_absent(secrets.split(), shown.text())
