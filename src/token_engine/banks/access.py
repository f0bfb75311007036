"""How a bank's API is reached: settings of an access, and the HTTP client that keeps to them.

What connectors rely on: a request by a client of `open_client` is answered by the bank, or raises `httpx2.HTTPError`.
Among these, `NoAccessError` (`banks/no_access.py`) says that there was no access: no token, no certificate, a host that
is not the bank's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import assert_never

import httpx2
import msgspec

from token_engine.banks.authentication import (
    ApiKey,
    Authentication,
    BearerToken,
    ClientSecretBasic,
    ClientSecretPost,
    NoAuthentication,
    OAuth,
    PrivateKeyJwt,
    TlsClientAuth,
    refuse_unsafe_url,
)
from token_engine.banks.certificates import BankTransport, ClientCertificate
from token_engine.banks.fixed_credential import FixedCredential
from token_engine.banks.secrets import SecretReference
from token_engine.banks.tokens import TokenAuth, Tokens


class Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """An access to one bank's API. It holds no credential, only where they lie."""

    base_url: str
    """https; http for this machine only."""
    authentication: Authentication = msgspec.field(default_factory=NoAuthentication)
    client_certificate: ClientCertificate | None = None
    certificate_authorities: SecretReference | None = None
    """PEM of those, and only those, who may vouch for the bank's certificate; None: those that the system trusts."""
    connect_seconds: int = 5
    answer_seconds: int = 20
    """How long the bank may be silent in the middle of an answer; a token must be there in this time."""
    connections: int = 64

    def __post_init__(self) -> None:
        refuse_unsafe_url(self.base_url, "base_url")
        for name in ("connect_seconds", "answer_seconds", "connections"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is below one")
        if isinstance(self.authentication, TlsClientAuth) and self.client_certificate is None:
            raise ValueError("tls_client_auth without a client_certificate")


def open_client(
    access: Access, clock: Callable[[], datetime], new_id: Callable[[], str] = lambda: secrets.token_urlsafe(24)
) -> httpx2.AsyncClient:
    """The client of an access; to be closed (`aclose`). It follows no redirect and keeps no cookie.

    Nothing is read or connected yet: what is missing is told by the requests, and is found once it is there.
    `clock` gives the time with a zone; `new_id` an identifier that nobody can guess, never the same twice.
    """
    origins = {httpx2.URL(access.base_url).origin}
    if isinstance(access.authentication, OAuth):
        origins.add(httpx2.URL(access.authentication.token_endpoint).origin)
    transport = BankTransport(
        frozenset(origins), access.client_certificate, access.certificate_authorities, access.connections, clock
    )
    tokens: Tokens | None = None
    auth: httpx2.Auth | None
    match access.authentication:
        case NoAuthentication():
            auth = None
        case BearerToken() | ApiKey() as fixed:
            auth = FixedCredential(fixed)
        case ClientSecretBasic() | ClientSecretPost() | TlsClientAuth() | PrivateKeyJwt() as grant:
            # Over the same connections, so that a token is bound to the certificate that it is used with (RFC 8705).
            asking = _client(access, transport, auth=None)
            tokens = Tokens(grant, asking, timedelta(seconds=access.answer_seconds), clock, new_id)
            auth = TokenAuth(tokens)
        case _ as never:
            assert_never(never)
    return _client(access, _Closing(transport, tokens), auth=auth)


class _Closing(httpx2.AsyncBaseTransport):
    """Ends a request for a token together with the connections."""

    def __init__(self, transport: BankTransport, tokens: Tokens | None) -> None:
        self._transport = transport
        self._tokens = tokens

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        if self._tokens is not None:
            await self._tokens.close()
        await self._transport.aclose()


def _client(access: Access, transport: httpx2.AsyncBaseTransport, auth: httpx2.Auth | None) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        auth=auth,
        base_url=access.base_url,
        transport=transport,
        timeout=httpx2.Timeout(access.answer_seconds, connect=access.connect_seconds),
        headers={"User-Agent": "token-engine"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=False,  # no proxies of the environment: who sees a bank's traffic is no matter of a shell's variables
    )
