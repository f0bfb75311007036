"""TLS to a bank: who it must be, and who we are (mutual TLS); found anew when certificates are replaced."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx2
import msgspec

from token_engine.banks.no_access import NoAccessError
from token_engine.banks.secrets import SecretMissingError, SecretReference
from token_engine.banks.token_request import where
from token_engine.domain.observation import Why

_LOOKED_AT_EVERY: Final = timedelta(seconds=10)


class ClientCertificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The certificate (with its chain) that the engine shows, and its private key without a password, both in PEM."""

    certificate: SecretReference
    key: SecretReference


class BankTransport(httpx2.AsyncBaseTransport):
    """Connections to a bank's own hosts. Certificates are looked at again every ten seconds: new ones are used for all
    requests from then on, and while they cannot be read, those from before.

    Raises NoAccessError for another host (an answer may name one, and would be given the token), and when there is no
    certificate that can be used.
    """

    def __init__(
        self,
        origins: frozenset[httpx2.Origin],
        certificate: ClientCertificate | None,
        authorities: SecretReference | None,
        connections: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._origins = origins
        self._references: tuple[SecretReference | None, ...] = (
            (authorities, None, None)
            if certificate is None
            else (authorities, certificate.certificate, certificate.key)
        )
        self._limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._clock = clock
        self._looked_at: datetime | None = None
        self._read: list[bytes] | None = None
        self._current: httpx2.AsyncHTTPTransport | None = None
        self._before: httpx2.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """As httpx2 asks for it."""
        if request.url.origin not in self._origins:
            raise NoAccessError(Why.UNREADABLE, f"{request.url.host} is not a host of this bank's settings")
        transport = await self._transport()
        return await transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in (self._before, self._current):
            if transport is not None:
                await transport.aclose()

    async def _transport(self) -> httpx2.AsyncHTTPTransport:
        now = self._clock()
        current = self._current
        if current is not None and self._looked_at is not None and abs(now - self._looked_at) < _LOOKED_AT_EVERY:
            return current
        self._looked_at = now
        try:
            read = [b"" if reference is None else reference.read() for reference in self._references]
            if current is not None and read == self._read:
                return current
            context = self._context(read)
        except SecretMissingError as missing:
            if current is not None:
                return current  # half of a rotation: the key is there and its certificate is not yet
            raise NoAccessError(Why.ACCESS_REFUSED, str(missing)) from None
        self._read = read
        outdated, self._before = self._before, current
        fresh = self._current = httpx2.AsyncHTTPTransport(verify=context, limits=self._limits)
        if outdated is not None:  # answers on the one before may still be on their way
            await outdated.aclose()
        return fresh

    def _context(self, read: list[bytes]) -> ssl.SSLContext:
        authorities, certificate, key = self._references
        if authorities is None:
            context = httpx2.create_ssl_context(trust_env=False)
        else:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            try:
                context.load_verify_locations(cadata=read[0].decode("ascii"))
            except (ssl.SSLError, ValueError):
                raise SecretMissingError(f"{where(authorities)} holds no certificate in PEM") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None and key is not None:
            try:
                _load(context, read[1], read[2])
            except (ssl.SSLError, ValueError):
                text = f"{where(certificate)} and {where(key)}: no certificate in PEM and its key without a password"
                raise SecretMissingError(text) from None
        return context


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # OpenSSL takes files only; both are loaded as they were read at one time. An empty password, so that nobody is
    # asked for one at the terminal.
    with TemporaryDirectory(prefix="token-engine-") as folder:
        for name, content in (("certificate", certificate), ("key", key)):
            path = Path(folder, name)
            path.touch(mode=0o600)
            path.write_bytes(content)
        context.load_cert_chain(Path(folder, "certificate"), Path(folder, "key"), password="")
