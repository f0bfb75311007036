"""The simulated bank's token endpoint: OAuth 2.0 client credentials (RFC 6749), by a secret (client_secret_basic) or by
a signed assertion (private_key_jwt, RFC 7523, PS256 alone as FAPI 2.0 has it). Tokens are opaque and short-lived.

Clients and tokens are of the process and in no file.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from token_engine.banks.simulated.dialect import Wrong

SCOPE: Final = "accounts"
_LIFETIME: Final = timedelta(minutes=5)
_BEARER_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFETIME: Final = timedelta(minutes=5)
_SKEW: Final = timedelta(seconds=10)


class Client(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may ask: by `secret`, or by assertions that the public key `jwk` verifies. `consents` were given to it."""

    id: str
    secret: str | None = None
    jwk: dict[str, Any] | None = None
    consents: frozenset[str] = frozenset()


class Grant(msgspec.Struct, frozen=True):
    """What a token stands for."""

    client: Client
    scopes: frozenset[str]
    expires_at: datetime


class Refused(msgspec.Struct, frozen=True):
    """An error of RFC 6749, 5.2. `invalid_client` is 401, everything else 400."""

    error: str
    error_description: str


class Tokens:
    """Clients, the tokens they hold, and the assertions they have used."""

    def __init__(self, new_token: Callable[[], str], lifetime: timedelta = _LIFETIME) -> None:
        self._new_token = new_token
        self._lifetime = lifetime
        self._clients: dict[str, Client] = {}
        self._grants: dict[str, Grant] = {}
        self._used: dict[tuple[str, str], datetime] = {}

    def register(self, client: Client) -> None:
        """From now on; in place of who had its id. Its tokens of before stay what they were."""
        self._clients[client.id] = client

    def revoke(self) -> None:
        """No token that was given is known any more."""
        self._grants.clear()

    def give(
        self, authorization: str | None, body: bytes, ours: frozenset[str], now: datetime
    ) -> dict[str, Any] | Refused:
        """Answer a request for a token. `ours` are the URLs that an assertion may be for: issuer and token endpoint."""
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        if form.get("grant_type") != "client_credentials":
            return Refused("unsupported_grant_type", "client_credentials is the only one")
        client = self._client(authorization, form, ours, now)
        if isinstance(client, Refused):
            return client
        scopes = frozenset(form.get("scope", SCOPE).split())
        if not scopes <= {SCOPE, "openid"}:
            return Refused("invalid_scope", f"{SCOPE} and openid are the only ones")
        self._forget(now)
        token = self._new_token()
        self._grants[token] = Grant(client, scopes, now + self._lifetime)
        lifetime = int(self._lifetime.total_seconds())
        return {"access_token": token, "token_type": "Bearer", "expires_in": lifetime, "scope": " ".join(scopes)}

    def look_up(self, authorization: str | None, now: datetime) -> Grant | Wrong:
        """What the bearer of an `Authorization` header may do."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return Wrong.NO_TOKEN
        grant = self._grants.get(token.strip())
        if grant is None:
            return Wrong.TOKEN_UNKNOWN
        if now >= grant.expires_at:
            return Wrong.TOKEN_EXPIRED
        return grant if SCOPE in grant.scopes else Wrong.SCOPE_MISSING

    def _client(
        self, authorization: str | None, form: Mapping[str, str], ours: frozenset[str], now: datetime
    ) -> Client | Refused:
        if "client_assertion" in form:
            if authorization is not None:
                return Refused("invalid_request", "a client names itself in one way")
            if form.get("client_assertion_type") != _BEARER_ASSERTION:
                return Refused("invalid_client", "client_assertion_type is another")
            return self._by_assertion(form["client_assertion"], form.get("client_id"), ours, now)
        name, secret = _basic(authorization)
        client = self._clients.get(name)
        known = client.secret if client is not None and client.secret is not None else ""
        if client is None or not known or not hmac.compare_digest(known.encode(), secret.encode()):
            return Refused("invalid_client", "no client has this id and secret")
        return client

    def _by_assertion(self, assertion: str, named: str | None, ours: frozenset[str], now: datetime) -> Client | Refused:
        """RFC 7523, 3: who made it, for whom, until when, and that it is used once."""
        try:
            said = msgspec.json.decode(jws.extract_compact(assertion.encode()).payload, type=dict[str, Any])
            client = self._clients.get(str(said.get("sub")))
            if client is None or client.jwk is None:
                return Refused("invalid_client", "no client has this id and a key")
            claims = jwt.decode(assertion, RSAKey.import_key(client.jwk), algorithms=["PS256"]).claims
        except (JoseError, ValueError, UnicodeEncodeError):
            return Refused("invalid_client", "the assertion is not signed with the client's key and PS256")
        if claims.get("iss") != client.id or named not in (None, client.id):
            return Refused("invalid_client", "iss, sub and client_id differ")
        audience = claims.get("aud")
        if not ours.intersection(audience if isinstance(audience, list) else [str(audience)]):
            return Refused("invalid_client", f"aud is none of {', '.join(sorted(ours))}")
        expires = claims.get("exp")
        if not isinstance(expires, int) or not -_SKEW < _moment(expires, now) - now <= _ASSERTION_LIFETIME:
            return Refused("invalid_client", "the assertion has expired, or lives too long")
        use = (client.id, str(claims.get("jti")))
        if "jti" not in claims or use in self._used:
            return Refused("invalid_client", "jti is missing or was used before")
        self._used[use] = _moment(expires, now)
        return client

    def _forget(self, now: datetime) -> None:
        """What has been over for a while: until then an expired token is told from one that never was."""
        self._grants = {token: grant for token, grant in self._grants.items() if now < grant.expires_at + _LIFETIME}
        self._used = {use: until for use, until in self._used.items() if now < until + _SKEW}


def _basic(authorization: str | None) -> tuple[str, str]:
    """Id and secret (RFC 6749, 2.3.1: form-encoded before they are joined); nothing for what is not these."""
    scheme, _, said = (authorization or "").partition(" ")
    try:
        text = base64.b64decode(said, validate=True).decode()
    except (binascii.Error, ValueError):
        return "", ""
    name, colon, secret = text.partition(":")
    return (unquote_plus(name), unquote_plus(secret)) if scheme.lower() == "basic" and colon else ("", "")


def _moment(seconds: int, now: datetime) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, now.tzinfo)
    except (OverflowError, OSError, ValueError):
        return datetime.max.replace(tzinfo=now.tzinfo)
