"""A real OpenID provider (npm `oidc-provider`) over mutual TLS gives our client a token, and an API that looks at the
certificate takes it; what is wrong is refused, by them and not by us."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from access.conftest import CLIENT, Provider
from token_engine.banks.access import Access, open_client
from token_engine.banks.authentication import (
    Authentication,
    BearerToken,
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJwt,
    TlsClientAuth,
)
from token_engine.banks.certificates import ClientCertificate
from token_engine.banks.no_access import NoAccessError
from token_engine.banks.secrets import SecretReference
from token_engine.domain.observation import Why


def utc_now() -> datetime:
    return datetime.now(UTC)


def access(
    provider: Provider, authentication: Authentication, certificate: str = "client", folder: Path | None = None
) -> Access:
    where = folder or provider.folder
    return Access(
        base_url=provider.api,
        authentication=authentication,
        client_certificate=ClientCertificate(
            certificate=SecretReference(file=f"{where}/{certificate}.pem"),
            key=SecretReference(file=f"{where}/{certificate}.key"),
        ),
        certificate_authorities=SecretReference(file=f"{provider.folder}/authority.pem"),
    )


def by_assertion(provider: Provider, key: str = "rsa.pem", **changed: Any) -> PrivateKeyJwt:
    settings: dict[str, Any] = {
        "token_endpoint": provider.token_endpoint,
        "client_id": CLIENT,
        "scope": "accounts",
        "key": SecretReference(file=f"{provider.folder}/{key}"),
        "key_id": "rsa-1",
        "assertion_audience": provider.issuer,
    }
    return PrivateKeyJwt(**settings | changed)


def asked(settings: Access, clock: Callable[[], datetime] = utc_now, **more: Any) -> httpx2.Response:
    async def ask() -> httpx2.Response:
        async with open_client(settings, clock, **more) as client:
            return await client.get("/accounts")

    return asyncio.run(ask())


def refusal(settings: Access, clock: Callable[[], datetime] = utc_now, **more: Any) -> NoAccessError:
    with pytest.raises(NoAccessError) as raised:
        asked(settings, clock, **more)
    return raised.value


def authentications(provider: Provider) -> dict[str, Authentication]:
    secret = provider.folder / "secret"
    secret.write_text("a+b c:/%\n")
    reference = SecretReference(file=str(secret))
    endpoint = provider.token_endpoint
    return {
        "PS256": by_assertion(provider),
        "ES256": by_assertion(provider, "ec.pem", key_id="ec-1", algorithm="ES256"),
        "certificate": TlsClientAuth(token_endpoint=endpoint, client_id="by-certificate", scope="accounts"),
        "basic": ClientSecretBasic(
            token_endpoint=endpoint, client_id="basic:1", scope="accounts", client_secret=reference
        ),
        "post": ClientSecretPost(token_endpoint=endpoint, client_id="post", scope="accounts", client_secret=reference),
    }


@pytest.mark.parametrize("way", ["PS256", "ES256", "certificate", "basic", "post"])
def test_a_token_bound_to_our_certificate_is_given_and_taken(provider: Provider, way: str) -> None:
    authentication = authentications(provider)[way]
    answer = asked(access(provider, authentication))
    assert answer.status_code == 200, answer.text
    assert answer.json()["scope"] == "accounts"
    assert answer.json()["client"] == authentication.client_id  # type: ignore[union-attr]


def test_the_token_with_another_certificate_is_refused(provider: Provider, tmp_path: Path) -> None:
    async def stolen() -> str:
        async with open_client(access(provider, by_assertion(provider)), utc_now) as client:
            answer = await client.get("/accounts")
            assert answer.status_code == 200
            return answer.request.headers["authorization"].removeprefix("Bearer ")

    (tmp_path / "token").write_text(asyncio.run(stolen()))
    bearer = BearerToken(token=SecretReference(file=f"{tmp_path}/token"))
    assert asked(access(provider, bearer, "client")).status_code == 200
    assert asked(access(provider, bearer, "other")).status_code == 401


def test_a_certificate_that_is_replaced_is_used_without_a_restart(provider: Provider, tmp_path: Path) -> None:
    late = timedelta(0)
    copied(provider, "client", tmp_path)

    async def across() -> list[Any]:
        nonlocal late
        settings = access(provider, by_assertion(provider), "own", folder=tmp_path)
        async with open_client(settings, lambda: utc_now() + late) as client:
            answers = [await client.get("/accounts")]
            copied(provider, "other", tmp_path)
            late += timedelta(seconds=11)
            answers.append(await client.get("/accounts"))
            (tmp_path / "own.pem").write_text("half of a file")
            late += timedelta(seconds=11)
            answers.append(await client.get("/accounts"))
            return [(answer.status_code, answer.json().get("thumbprint")) for answer in answers]

    first, second, third = asyncio.run(across())
    assert [first[0], second[0], third[0]] == [200, 200, 200]
    assert first[1] != second[1]  # and a token bound to it came with it: the API took both
    assert third[1] == second[1]


def copied(provider: Provider, name: str, folder: Path) -> None:
    for kind in ("pem", "key"):
        shutil.copy(provider.folder / f"{name}.{kind}", folder / f"own.{kind}")


@pytest.mark.filterwarnings("ignore:Key size should be")
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"key": "wrong.pem"}, "the token endpoint answered 401, invalid_client"),
        ({"assertion_audience": "https://another.example"}, "the token endpoint answered 401, invalid_client"),
        ({"client_id": "nobody"}, "the token endpoint answered 401, invalid_client"),
        ({"scope": "payments"}, "the token endpoint answered 400, invalid_scope"),
        ({"key": "public.pem"}, "holds no private key in PEM that fits PS256"),
        ({"key": "ec.pem"}, "holds no private key in PEM that fits PS256"),
        ({"key": "small.pem"}, "holds no private key in PEM that fits PS256"),
        ({"key": "locked.key"}, "holds no private key in PEM that fits PS256"),
        ({"key": "p384.pem", "algorithm": "ES256"}, "holds no private key in PEM that fits ES256"),
        ({"key": "authority.pem"}, "holds no private key in PEM that fits PS256"),
        ({"key": "nothing.pem"}, "nothing.pem: No such file or directory"),
    ],
)
def test_a_wrong_assertion_is_refused(provider: Provider, wrong: dict[str, Any], said: str) -> None:
    error = refusal(access(provider, by_assertion(provider, **wrong)))
    assert error.why is Why.ACCESS_REFUSED
    assert said in error.text


def test_an_expired_assertion_is_refused(provider: Provider) -> None:
    error = refusal(access(provider, by_assertion(provider)), lambda: utc_now() - timedelta(hours=1))
    assert (error.why, error.text) == (Why.ACCESS_REFUSED, "the token endpoint answered 401, invalid_client")


def test_a_replayed_assertion_is_refused(provider: Provider) -> None:
    settings = access(provider, by_assertion(provider))
    assert asked(settings, new_id=lambda: "the-same-twice").status_code == 200
    error = refusal(settings, new_id=lambda: "the-same-twice")
    assert (error.why, error.text) == (Why.ACCESS_REFUSED, "the token endpoint answered 401, invalid_client")
    assert asked(settings).status_code == 200


def test_a_certificate_that_nobody_vouches_for_is_refused(provider: Provider) -> None:
    assert refusal(access(provider, by_assertion(provider), "stranger")).why is Why.UNREACHABLE


def test_a_bank_that_nobody_vouches_for_is_not_spoken_to(provider: Provider) -> None:
    settings = access(provider, by_assertion(provider))
    for authorities in (None, SecretReference(file=f"{provider.folder}/stranger.pem")):
        error = refusal(msgspec.structs.replace(settings, certificate_authorities=authorities))
        assert error.why is Why.UNREACHABLE
        assert "CERTIFICATE_VERIFY_FAILED" in error.text


def test_a_certificate_that_is_not_there_is_said(provider: Provider, tmp_path: Path) -> None:
    error = refusal(access(provider, by_assertion(provider), folder=tmp_path))
    assert error.why is Why.ACCESS_REFUSED
    assert error.text == f"file {tmp_path}/client.pem: No such file or directory"


@pytest.mark.parametrize("certificate", ["locked", "mixed"])
def test_a_certificate_that_cannot_be_used_is_said(provider: Provider, tmp_path: Path, certificate: str) -> None:
    for kind, name in (("pem", "client"), ("key", "locked" if certificate == "locked" else "other")):
        shutil.copy(provider.folder / f"{name}.{kind}", tmp_path / f"{certificate}.{kind}")
    error = refusal(access(provider, by_assertion(provider), certificate, folder=tmp_path))
    assert error.why is Why.ACCESS_REFUSED
    assert error.text == (
        f"file {tmp_path}/{certificate}.pem and file {tmp_path}/{certificate}.key: "
        "no certificate in PEM and its key without a password"
    )
