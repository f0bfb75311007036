"""Why a bank was not asked although a request was made: access to it was not to be had."""

from __future__ import annotations

from datetime import timedelta

import httpx2

from token_engine.domain.observation import Why


class NoAccessError(httpx2.TransportError):
    """Raised by a client of `open_client` instead of an answer; caught with `httpx2.HTTPError`.

    `why`, `text` and `retry_after` are those of the NoObservation to give. The text never holds a credential.
    """

    def __init__(self, why: Why, text: str, retry_after: timedelta | None = None) -> None:
        super().__init__(text)
        self.why = why
        self.text = text
        self.retry_after = retry_after
