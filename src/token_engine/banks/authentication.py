"""Who the engine is to a bank: settings of each way to say so. Credentials stand in them by reference only."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final, Literal

import httpx2
import msgspec

from token_engine.banks.secrets import SecretReference


def refuse_unsafe_url(url: str, name: str) -> None:
    """Raise ValueError unless `url` (of the setting `name`) is https, or http to this very machine.

    User and password, which belong to no setting, and a query or fragment, which would be lost, are refused too.
    """
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise ValueError(f"{name} is no URL") from None
    if not parsed.host or parsed.scheme not in ("http", "https"):
        raise ValueError(f"{name} is no https URL")
    if parsed.scheme == "http" and not _loopback(parsed.host):
        raise ValueError(f"{name}: a bank is asked by https; http is for this machine only")
    if parsed.userinfo:
        raise ValueError(f"{name}: a credential is named by reference, not in a URL")
    if parsed.query or parsed.fragment:
        raise ValueError(f"{name} has a query or a fragment")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class NoAuthentication(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="none"):
    """The bank asks for nothing, or for the client certificate alone."""


class BearerToken(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="bearer"
):
    """A token that the bank gave once. Read for each request, so that a new one is found at once."""

    token: SecretReference


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="api_key"):
    """A key in a header of the bank's own. Read for each request."""

    header: str
    key: SecretReference

    def __post_init__(self) -> None:
        if not _HEADER_NAME.issuperset(self.header.lower()) or not self.header:
            raise ValueError("header is no name of an HTTP header")


_HEADER_NAME: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


class OAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What every grant by client credentials has (RFC 6749, 4.4)."""

    token_endpoint: str
    client_id: str
    scope: str | None = None
    audience: str | None = None
    """The API that the token is for, where the token endpoint asks for one (`audience` in its request)."""

    def __post_init__(self) -> None:
        refuse_unsafe_url(self.token_endpoint, "token_endpoint")
        if not self.client_id:
            raise ValueError("client_id is empty")


class ClientSecretBasic(OAuth, frozen=True, kw_only=True, tag_field="kind", tag="client_secret_basic"):
    """Id and secret as HTTP Basic (RFC 6749, 2.3.1)."""

    client_secret: SecretReference


class ClientSecretPost(OAuth, frozen=True, kw_only=True, tag_field="kind", tag="client_secret_post"):
    """Id and secret in the form, for token endpoints that do not take Basic."""

    client_secret: SecretReference


class TlsClientAuth(OAuth, frozen=True, kw_only=True, tag_field="kind", tag="tls_client_auth"):
    """The client certificate says who asks (RFC 8705, 2); the form has the id only."""


class PrivateKeyJwt(OAuth, frozen=True, kw_only=True, tag_field="kind", tag="private_key_jwt"):
    """A short-lived assertion signed with the client's own key (RFC 7523)."""

    key: SecretReference
    """The private key, in PEM without a password: RSA of 2048 bits or more for PS256, P-256 for ES256."""
    key_id: str
    assertion_audience: str
    """`aud` of the assertion. FAPI 2.0: the authorization server's issuer. Others want their token endpoint; a bank's
    developer pages say which."""
    algorithm: Literal["PS256", "ES256"] = "PS256"


Authentication = (
    NoAuthentication | BearerToken | ApiKey | ClientSecretBasic | ClientSecretPost | TlsClientAuth | PrivateKeyJwt
)
Grant = ClientSecretBasic | ClientSecretPost | TlsClientAuth | PrivateKeyJwt
