"""What a token endpoint is asked, with the credentials as they lie there now."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Final, assert_never
from urllib.parse import quote_plus

import httpx2

from token_engine.banks.authentication import (
    ClientSecretBasic,
    ClientSecretPost,
    Grant,
    PrivateKeyJwt,
    TlsClientAuth,
)
from token_engine.banks.secrets import SecretMissingError, SecretReference

_ASSERTION_LIVES: Final = 60
"""Seconds. FAPI 2.0 asks for short-lived assertions; authorization servers refuse those that live for long."""
_LEAST_RSA_BITS: Final = 2048


def token_request(grant: Grant, now: datetime, new_id: Callable[[], str]) -> httpx2.Request:
    """The request for an access token by `grant`. `new_id` gives the assertion's `jti`, never the same twice.

    Raises SecretMissingError when a credential is not there or is not what it should be.
    """
    form = {"grant_type": "client_credentials"}
    if grant.scope is not None:
        form["scope"] = grant.scope
    if grant.audience is not None:
        form["audience"] = grant.audience
    headers = {"Accept": "application/json", "User-Agent": "token-engine"}
    match grant:
        case ClientSecretBasic():
            headers["Authorization"] = _basic(grant.client_id, _text(grant.client_secret))
        case ClientSecretPost():
            form |= {"client_id": grant.client_id, "client_secret": _text(grant.client_secret)}
        case TlsClientAuth():
            form["client_id"] = grant.client_id
        case PrivateKeyJwt():
            form |= {
                "client_id": grant.client_id,  # optional by RFC 7523, asked for by some
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": _assertion(grant, now, new_id()),
            }
        case _ as never:
            assert_never(never)
    return httpx2.Request("POST", grant.token_endpoint, headers=headers, data=form)


def _basic(client_id: str, secret: str) -> str:
    # Both are form-encoded first (RFC 6749, 2.3.1): a colon in an id would end it early.
    return "Basic " + b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


def _text(reference: SecretReference) -> str:
    try:
        return reference.read().decode()
    except UnicodeDecodeError:
        raise SecretMissingError(f"{where(reference)} is no text") from None


def _assertion(grant: PrivateKeyJwt, now: datetime, jti: str) -> str:
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, RSAKey

    pem = grant.key.read()
    key: RSAKey | ECKey
    try:
        if grant.algorithm == "PS256":
            key = rsa = RSAKey.import_key(pem)
            fits = rsa.raw_value.key_size >= _LEAST_RSA_BITS
        else:
            key = ec = ECKey.import_key(pem)
            fits = ec.curve_name == "P-256"
    except (JoseError, ValueError, TypeError):
        fits = False
    # Said after the exception is over: what libraries say of a key may quote it.
    if not fits or not key.is_private:
        raise SecretMissingError(f"{where(grant.key)} holds no private key in PEM that fits {grant.algorithm}")
    issued = int(now.timestamp())
    claims = {
        "iss": grant.client_id,
        "sub": grant.client_id,
        "aud": grant.assertion_audience,
        "jti": jti,
        "iat": issued,
        "exp": issued + _ASSERTION_LIVES,
    }
    return jwt.encode({"alg": grant.algorithm, "kid": grant.key_id}, claims, key, algorithms=[grant.algorithm])


def where(reference: SecretReference) -> str:
    """The place that a reference names, for a person."""
    return f"file {reference.file}" if reference.env is None else f"environment variable {reference.env}"
