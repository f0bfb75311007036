"""A credential that goes with each request as it is: a bank's own token or key."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Final

import httpx2

from token_engine.banks.authentication import ApiKey, BearerToken
from token_engine.banks.no_access import NoAccessError
from token_engine.banks.secrets import SecretMissingError, SecretReference
from token_engine.banks.token_request import where
from token_engine.domain.observation import Why

_VISIBLE: Final = re.compile(rb"[\x21-\x7e]+")


class FixedCredential(httpx2.Auth):
    """Puts the credential, read anew, on each request. Raises NoAccessError when it is not there."""

    def __init__(self, settings: BearerToken | ApiKey) -> None:
        self._settings = settings

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """As httpx2 asks for it."""
        settings = self._settings
        value = _value(settings.token if isinstance(settings, BearerToken) else settings.key)
        if isinstance(value, NoAccessError):
            value.request = request
            raise value
        if isinstance(settings, BearerToken):
            request.headers["Authorization"] = f"Bearer {value}"
        else:
            request.headers[settings.header] = value
        yield request


def _value(reference: SecretReference) -> str | NoAccessError:
    # The error is given back, not raised: a traceback that shows local variables would show the value.
    try:
        value = reference.read()
    except SecretMissingError as missing:
        return NoAccessError(Why.ACCESS_REFUSED, str(missing))
    # HTTP libraries quote a header that they refuse.
    if not _VISIBLE.fullmatch(value):
        return NoAccessError(Why.ACCESS_REFUSED, f"{where(reference)} holds what cannot stand in a header")
    return value.decode()
