"""No credential in any text, repr or log line, even when the bank repeats what it was sent."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from connectors.bank import Bank, Reply, ok
from connectors.subjects import ACCOUNT, HTTP_SUBJECTS, NOW, REFERENCE, SECRET, UNNAMED, HttpSubject
from connectors.test_faults import MONEY
from token_engine.banks.berlin_group import BerlinGroup, BerlinGroupSettings
from token_engine.banks.declared import JsonSettings
from token_engine.banks.secrets import SecretReference
from token_engine.domain.observation import NoObservation, Observation, Why


def ask(subject: HttpSubject, bank: Bank, account: Any = ACCOUNT) -> Observation | NoObservation:
    async def run() -> Observation | NoObservation:
        async with subject.to(bank) as connector:
            assert SECRET not in repr(connector)
            return await connector.booked_balance(account, NOW)

    return asyncio.run(run())


def echo(content: Any, path: tuple[Any, ...], said: str) -> Any:
    """`content` with `said` in the place of one text."""
    if not path:
        return said
    copy = dict(content) if isinstance(content, dict) else list(content)
    copy[path[0]] = echo(content[path[0]], path[1:], said)
    return copy


def texts(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    match content:
        case dict():
            return [p for k, v in content.items() for p in texts(v, (*path, k))]
        case list():
            return [p for i, v in enumerate(content) for p in texts(v, (*path, i))]
        case str():
            return [path]
        case _:
            return []


@pytest.mark.parametrize("subject", HTTP_SUBJECTS, ids=lambda s: s.name)
def test_a_bank_that_repeats_what_it_was_sent(
    subject: HttpSubject, bank: Bank, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sent = [SECRET, f"Bearer {SECRET}", f"{SECRET} {SECRET}", SECRET + "x" * 30, SECRET * 3]
    lists = [("resource-1", ACCOUNT.number, "AED"), ("resource-2", "GB1", "AED")]
    refusals = 0
    for account, content in [
        (ACCOUNT, subject.balances(MONEY, "resource-1")),
        *([(UNNAMED, subject.accounts(lists, "next"))] if subject.lists_accounts else []),
    ]:
        for path in texts(content):
            for said in sent:
                repeated = echo(content, path, said)
                bank.respond = lambda request, repeated=repeated: ok(repeated)  # type: ignore[misc]
                answer = ask(subject, bank, account)
                assert SECRET not in repr(answer), path
                refusals += isinstance(answer, NoObservation)
    assert refusals > 10
    for status in (200, 400, 401, 500):
        bank.respond = lambda request, status=status: Reply(  # type: ignore[misc]
            status=status, body=repr(request.headers).encode(), content_type=f"text/{SECRET}"
        )
        answer = ask(subject, bank)
        assert isinstance(answer, NoObservation)
        assert SECRET not in repr(answer)
    assert any(SECRET in repr(r.headers) for r in bank.requests)
    assert SECRET not in caplog.text


@pytest.mark.parametrize("subject", HTTP_SUBJECTS, ids=lambda s: s.name)
def test_an_error_of_the_transport_repeats_nothing(subject: HttpSubject, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            raise httpx2.ReadError(repr(request.headers.raw))

    async def run() -> Observation | NoObservation:
        client = httpx2.AsyncClient(
            transport=Broken(), base_url="http://bank", headers={"Authorization": f"Bearer {SECRET}"}
        )
        connector = subject.connector(client)
        try:
            return await connector.booked_balance(ACCOUNT, NOW)
        finally:
            await connector.close()

    caplog.set_level(logging.INFO)
    answer = asyncio.run(run())
    assert isinstance(answer, NoObservation)
    assert answer.why is Why.UNREACHABLE
    assert SECRET not in repr(answer) + caplog.text


def test_a_consent_that_is_not_there_or_is_none(bank: Bank, tmp_path: Path) -> None:
    """It is read at each request, so that a renewed consent is used; and without one nothing is asked."""
    place = tmp_path / "consent"
    settings = BerlinGroupSettings(consent=SecretReference(file=str(place)))

    async def run() -> None:
        client = httpx2.AsyncClient(base_url=bank.base_url, verify=False)
        connector = BerlinGroup(client, settings)
        answer = await connector.booked_balance(ACCOUNT, NOW)
        assert isinstance(answer, NoObservation)
        assert (answer.why, str(place) in answer.text) == (Why.ACCESS_REFUSED, True)
        for useless in (b"", b"\n", b"caf\xc3\xa9", b"two\r\nlines: of it"):
            place.write_bytes(useless)
            answer = await connector.booked_balance(ACCOUNT, NOW)
            assert isinstance(answer, NoObservation)
            assert answer.why is Why.ACCESS_REFUSED
            assert "lines: of it" not in answer.text
        assert bank.requests == []
        for consent in ("first", "second"):
            place.write_text(f"{consent}\n")
            await connector.booked_balance(ACCOUNT, NOW)
            assert bank.requests[-1].headers["consent-id"] == consent
        await connector.close()

    asyncio.run(run())


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "Cookie", "X-Access-Token", "client_secret"])
def test_a_credential_in_declared_settings_is_refused(name: str) -> None:
    def declared(value: str | SecretReference) -> JsonSettings:
        return JsonSettings(url="a", balances="$", amount="@", currency="@", as_of="@", headers={name: value})

    assert declared(REFERENCE).headers
    with pytest.raises(ValueError, match="by reference") as refusal:
        declared(SECRET)
    assert SECRET not in str(refusal.value)


def test_settings_hold_references_only() -> None:
    subject = next(s for s in HTTP_SUBJECTS if s.name == "json")
    client = httpx2.AsyncClient(verify=False)
    connector = subject.connector(client)
    shown = repr(vars(connector)) + msgspec.json.encode(BerlinGroupSettings(consent=REFERENCE)).decode()
    assert SECRET not in shown
