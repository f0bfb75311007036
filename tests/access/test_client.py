"""What a client of an access does not do, and credentials that go with each request as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from access.token_bank import TokenBank, listening
from token_engine.banks.access import Access, open_client
from token_engine.banks.authentication import ApiKey, Authentication, BearerToken, NoAuthentication
from token_engine.banks.no_access import NoAccessError
from token_engine.banks.retry_after import retry_after
from token_engine.banks.secrets import SecretReference
from token_engine.domain.observation import Why

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


def run(authentication: Authentication, story: Callable[[TokenBank, httpx2.AsyncClient], Awaitable[None]]) -> None:
    async def main() -> None:
        bank = TokenBank()
        async with listening(bank) as url:
            bank.url = url
            access = Access(base_url=f"{url}/v1", authentication=authentication)
            async with open_client(access, lambda: NOW) as client:
                await story(bank, client)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("kind", "header", "value"),
    [("bearer", "authorization", "Bearer {}"), ("api_key", "x-bank-key", "{}")],
)
def test_a_fixed_credential_is_read_for_each_request(tmp_path: Path, kind: str, header: str, value: str) -> None:
    where = tmp_path / "credential"
    reference = SecretReference(file=str(where))
    authentication = BearerToken(token=reference) if kind == "bearer" else ApiKey(header="X-Bank-Key", key=reference)

    async def story(bank: TokenBank, client: httpx2.AsyncClient) -> None:
        for credential in ("first", "second"):
            where.write_text(credential + "\n")
            await client.get("accounts")
            assert bank.api_requests[-1][header] == value.format(credential)
        for wrong in ("two\r\nX-Lines: 1", "blank inside", "ü", ""):
            where.write_text(wrong)
            with pytest.raises(NoAccessError) as raised:
                await client.get("accounts")
            assert raised.value.why is Why.ACCESS_REFUSED
            assert raised.value.text == f"file {where} holds what cannot stand in a header"
        where.unlink()
        with pytest.raises(NoAccessError, match="No such file or directory"):
            await client.get("accounts")
        assert len(bank.api_requests) == 2

    run(authentication, story)


def test_no_redirect_no_cookie_and_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    async def story(bank: TokenBank, client: httpx2.AsyncClient) -> None:
        assert (await client.get(f"{bank.url}/elsewhere")).status_code == 302
        await client.get("/accounts")
        assert [set(headers) & {"cookie", "authorization"} for headers in bank.api_requests] == [set(), set()]

    run(NoAuthentication(), story)


def test_a_host_that_an_answer_names_gets_nothing(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("very-secret")

    async def story(bank: TokenBank, client: httpx2.AsyncClient) -> None:
        other = TokenBank()
        async with listening(other) as url:
            for elsewhere in (url, bank.url.replace("127.0.0.1", "localhost"), bank.url.replace("http:", "https:")):
                with pytest.raises(NoAccessError, match="is not a host of this bank's settings"):
                    await client.get(f"{elsewhere}/accounts")
            assert (bank.api_requests, other.api_requests) == ([], [])

    run(BearerToken(token=SecretReference(file=f"{tmp_path}/token")), story)


@pytest.mark.parametrize(
    "url",
    [
        "http://bank.example",
        "http://10.0.0.1/api",
        "http://127.0.0.1.bank.example",
        "http://localhost.bank.example",
        "https://user:password@bank.example",
        "https://user@bank.example",
        "https://bank.example/?key=1",
        "https://bank.example/#part",
        "ftp://bank.example",
        "bank.example",
        "https://",
        "https://bank.example:port",
        "",
    ],
)
def test_a_url_that_would_show_credentials_is_refused(url: str) -> None:
    grant = {"kind": "tls_client_auth", "token_endpoint": url, "client_id": "firm"}
    certificate = {"certificate": {"file": "a"}, "key": {"file": "b"}}
    for settings in (
        {"base_url": url},
        {"base_url": "https://bank.example", "authentication": grant, "client_certificate": certificate},
    ):
        with pytest.raises(msgspec.ValidationError, match=r"base_url|token_endpoint") as raised:
            msgspec.convert(settings, Access)
        assert "password" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["https://bank.example/open-banking/v3.1/", "http://localhost:8080", "http://[::1]:80/x"]
)
def test_https_and_this_machine_are_taken(url: str) -> None:
    assert msgspec.convert({"base_url": url}, Access).base_url == url


@pytest.mark.parametrize(
    "settings",
    [
        {"answer_seconds": 0},
        {"connections": 0},
        {"verify": False},
        {"authentication": {"kind": "tls_client_auth", "token_endpoint": "https://b.example", "client_id": "firm"}},
        {"authentication": {"kind": "bearer", "token": "the token itself"}},
        {"authentication": {"kind": "api_key", "header": "X: y\r\nZ", "key": {"env": "KEY"}}},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"base_url": "https://bank.example", **settings}, Access)


def test_settings_come_back_as_they_were_written() -> None:
    reference = SecretReference(env="KEY")
    for authentication in (NoAuthentication(), BearerToken(token=reference), ApiKey(header="X-Key", key=reference)):
        access = Access(base_url="https://bank.example", authentication=authentication)
        assert msgspec.json.decode(msgspec.json.encode(access), type=Access) == access


@given(st.integers(0, 10**12))
def test_retry_after_in_seconds(seconds: int) -> None:
    assert retry_after(f" {seconds}", NOW) == timedelta(seconds=min(seconds, 86_400))


@given(st.integers(-(10**6), 10**6))
def test_retry_after_as_a_date(seconds: int) -> None:
    at = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after(at, NOW) == timedelta(seconds=max(0, min(seconds, 86_400)))


@given(st.text())
def test_retry_after_of_anything_is_nothing_or_a_time(text: str) -> None:
    wait = retry_after(text, NOW)
    assert wait is None or timedelta(0) <= wait <= timedelta(days=1)


def test_retry_after_that_says_nothing() -> None:
    for text in (None, "", "soon", "-5", "1.5", "٣", "Mon, 99 Nov 2026 09:00:00 GMT", "Mon, 23 Nov 99999 09:00:00 GMT"):
        assert retry_after(text, NOW) is None
    assert retry_after("Mon, 23 Nov 2026 09:00:30 -0000", NOW) == timedelta(seconds=30)
