"""The token endpoint over real HTTP: who gets a token, how long it is good, and what an assertion must be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from simulated_bank.running import BERLIN, CONSENT, UAE, UK, RunningBank
from token_engine.banks.simulated.dialect import Wrong
from token_engine.banks.simulated.tokens import Client, Grant, Refused, Tokens

KEY = RSAKey.generate_key(2048)
STRANGER = RSAKey.generate_key(2048)


@pytest.fixture(scope="module")
def registered(one_bank: RunningBank) -> RunningBank:
    one_bank.control("clients", {"id": "by key", "jwk": KEY.as_dict(private=False), "consents": [CONSENT]})
    one_bank.control("clients", {"id": "no consent", "secret": "s"})
    return one_bank


@pytest.fixture
def bank(registered: RunningBank) -> Iterator[RunningBank]:
    yield registered
    registered.well_again()


def assertion(bank: RunningBank, key: RSAKey = KEY, algorithm: str = "PS256", **claims: Any) -> str:
    said = {
        "iss": "by key", "sub": "by key", "aud": f"{bank.url}/oauth2/token", "exp": int(time.time()) + 60,
        "jti": str(uuid4()),
    } | claims  # fmt: skip
    return jwt.encode({"alg": algorithm}, {k: v for k, v in said.items() if v is not None}, key, algorithms=[algorithm])


def ask(bank: RunningBank, signed: str, **more: str) -> httpx2.Response:
    form = {
        "grant_type": "client_credentials", "scope": "accounts", "client_assertion": signed,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    } | more  # fmt: skip
    return bank.http.post("/oauth2/token", data=form)


def test_an_assertion_gives_a_token_that_opens_every_api(bank: RunningBank) -> None:
    given = ask(bank, assertion(bank))
    assert given.status_code == 200, given.text
    assert given.headers["cache-control"] == "no-store"
    said = given.json()
    assert (said["token_type"], said["expires_in"], said["scope"]) == ("Bearer", 300, "accounts")
    for api in (BERLIN, UK, UAE):
        assert bank.get(f"{api}/accounts", Authorization=f"Bearer {said['access_token']}").status_code == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "http://elsewhere/token"}, {"exp": int(time.time()) - 60}, {"exp": int(time.time()) + 86_400},
        {"exp": None}, {"exp": 10**30}, {"jti": None}, {"iss": "somebody"}, {"sub": "somebody"}, {"sub": "no consent"},
    ],
)  # fmt: skip
def test_an_assertion_that_says_something_else(bank: RunningBank, claims: dict[str, Any]) -> None:
    refused = ask(bank, assertion(bank, **claims))
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


def test_an_assertion_that_is_not_signed_as_it_must_be(bank: RunningBank) -> None:
    signed = assertion(bank)
    head, payload, signature = signed.split(".")
    unsigned = "eyJhbGciOiJub25lIn0"
    for wrong in (
        assertion(bank, STRANGER), assertion(bank, algorithm="RS256"), f"{unsigned}.{payload}.",
        f"{head}.{payload}.{signature[:-4]}AAAA", "nonsense", "a.b.c", "é.é.é", "",
    ):  # fmt: skip
        refused = ask(bank, wrong)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client"), wrong
    assert ask(bank, signed).status_code == 200


def test_an_assertion_is_used_once(bank: RunningBank) -> None:
    signed = assertion(bank)
    assert [ask(bank, signed).status_code for _ in range(2)] == [200, 401]


def test_secrets(bank: RunningBank) -> None:
    bank.token()  # registers engine
    form = {"grant_type": "client_credentials"}
    for wrong in (("engine", "wrong"), ("nobody", "s3cret"), ("by key", ""), ("engine", "")):
        refused = bank.http.post("/oauth2/token", data=form, auth=wrong)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Basic")
    for header in ("Basic %%%", "Basic", "Bearer x", "Basic YWJj"):
        assert bank.http.post("/oauth2/token", data=form, headers={"Authorization": header}).status_code == 401
    assert bank.http.post("/oauth2/token", data={"grant_type": "password"}).json()["error"] == "unsupported_grant_type"
    assert bank.http.post("/oauth2/token", content=b"\xff=\xff").status_code == 400
    assert ask(bank, assertion(bank), scope="payments").json()["error"] == "invalid_scope"
    assert ask(bank, assertion(bank), client_assertion_type="other").status_code == 401
    assert ask(bank, assertion(bank), client_id="engine").status_code == 401


def test_a_token_opens_only_what_it_is_for(bank: RunningBank) -> None:
    openid = ask(bank, assertion(bank), scope="openid").json()["access_token"]
    stranger = bank.http.post("/oauth2/token", data={"grant_type": "client_credentials"}, auth=("no consent", "s"))
    assert stranger.status_code == 200
    for api in (BERLIN, UK, UAE):
        for token in (openid, stranger.json()["access_token"]):
            assert bank.get(f"{api}/accounts", Authorization=f"Bearer {token}").status_code == 403


def test_tokens_can_be_taken_away(bank: RunningBank) -> None:
    token = ask(bank, assertion(bank)).json()["access_token"]
    bank.control("tokens", method="DELETE")
    assert bank.get(f"{UK}/accounts", Authorization=f"Bearer {token}").status_code == 401


def test_a_token_expires() -> None:
    now = datetime(2025, 11, 18, 12, 0, tzinfo=UTC)
    names = iter("ab")
    tokens = Tokens(lambda: next(names), timedelta(seconds=60))
    tokens.register(Client(id="c", secret="s"))

    def give(at: datetime) -> str:
        given = tokens.give("Basic Yzpz", b"grant_type=client_credentials", frozenset(), at)
        assert not isinstance(given, Refused)
        return f"Bearer {given['access_token']}"

    token = give(now)
    assert isinstance(tokens.look_up(token, now + timedelta(seconds=59)), Grant)
    assert tokens.look_up(token, now + timedelta(seconds=60)) is Wrong.TOKEN_EXPIRED
    give(now + timedelta(hours=1))
    assert tokens.look_up(token, now + timedelta(hours=1)) is Wrong.TOKEN_UNKNOWN, "forgotten in the end"
