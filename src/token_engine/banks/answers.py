"""A bank's answer over HTTP: JSON that was read to its end, or why there is none, in words that hold no credential."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import httpx2
import msgspec

from token_engine.banks.error_codes import error_code
from token_engine.banks.exact_json import NotExactError, parse
from token_engine.banks.no_access import NoAccessError
from token_engine.banks.retry_after import retry_after
from token_engine.banks.secrets import SecretMissingError
from token_engine.domain.observation import NoObservation, Observation, Why, shown

LARGEST_BODY: Final = 1 << 20
"""Bytes. A list of a thousand accounts is half of it."""
LONGEST_ANSWER: Final = 60.0
"""Seconds for one request and its whole answer: a bank that sends a byte now and then is not silent, and never done."""

# Headers of a request that say nothing secret. What stands in any other one is kept out of texts.
_HARMLESS: Final = frozenset(
    "accept accept-encoding connection date digest host user-agent x-request-id x-fapi-interaction-id".split()
)
_SHORTEST_CREDENTIAL: Final = 6


class NotObservedError(Exception):
    """Carries a NoObservation out of the depths of reading an answer to `inquire`, which returns it as a result."""

    def __init__(self, why: Why, text: str, retry_after: timedelta | None = None) -> None:
        super().__init__(text)
        self.refusal = NoObservation(why=why, text=text, retry_after=retry_after)


async def inquire(
    client: httpx2.AsyncClient, now: datetime, ask: Callable[[Inquiry], Awaitable[Observation | NoObservation]]
) -> Observation | NoObservation:
    """What came of asking a bank, with every refusal as a result and no credential in its text."""
    inquiry = Inquiry(client, now)
    try:
        answer = await ask(inquiry)
    except NotObservedError as error:
        answer = error.refusal
    except SecretMissingError as error:
        answer = NoObservation(why=Why.ACCESS_REFUSED, text=str(error))
    if isinstance(answer, NoObservation):
        return msgspec.structs.replace(answer, text=inquiry.without_credentials(answer.text))
    return answer


class Inquiry:
    """The requests that one question for a balance takes. `now` is when it is asked."""

    def __init__(self, client: httpx2.AsyncClient, now: datetime) -> None:
        self.now = now
        self._client = client
        self._sent: list[httpx2.Request] = []

    async def get(self, url: str | httpx2.URL, headers: Mapping[str, str]) -> Answer:
        """GET `url` (relative to the access's base URL, or absolute) and read its JSON.

        Exactly one request: no redirect is followed. Raises NotObservedError for everything but a complete answer of
        200 with JSON in it; its text names method, path and status, and the bank's code for its refusal.
        """
        try:
            request = self._client.build_request("GET", url, headers={"Accept-Encoding": "identity", **headers})
        except (httpx2.InvalidURL, ValueError):
            raise NotObservedError(Why.UNREADABLE, f"{shown(str(url))} is no URL") from None
        self._sent.append(request)
        asked = f"GET {request.url.path}"
        try:
            async with asyncio.timeout(LONGEST_ANSWER):
                response = await self._client.send(request, stream=True, follow_redirects=False)
                try:
                    await _check_status(response, asked, self.now)
                    _check_form(response, asked)
                    body = await _read(response, asked)
                finally:
                    await response.aclose()
        except NoAccessError as error:
            raise NotObservedError(error.why, f"{asked}: {error.text}", error.retry_after) from None
        except (TimeoutError, httpx2.TimeoutException):
            raise NotObservedError(Why.TIMED_OUT, f"{asked}: no complete answer in time") from None
        except (httpx2.HTTPError, OSError) as error:
            raise NotObservedError(Why.UNREACHABLE, f"{asked}: {_fault(error)}") from None
        try:
            return Answer(asked, request.url, parse(body))
        except NotExactError as error:
            raise NotObservedError(Why.UNREADABLE, f"{asked}: 200, and its JSON is not readable: {error}") from None

    def without_credentials(self, text: str) -> str:
        """`text` without any credential that was sent: a bank may repeat what it was sent."""
        for request in self._sent:
            for name, value in request.headers.items():
                if name.lower() not in _HARMLESS:
                    for word in sorted({value, *value.split()}, key=len, reverse=True):
                        if len(word) >= _SHORTEST_CREDENTIAL:
                            text = text.replace(word, "***")
        return text


class Answer(msgspec.Struct, frozen=True):
    """A bank's JSON, and what was asked for it."""

    asked: str
    """Method and path, for texts."""
    url: httpx2.URL
    content: Any

    def unreadable(self, text: str) -> NotObservedError:
        """To be raised when the content is not what the standard says."""
        return NotObservedError(Why.UNREADABLE, f"{self.asked}: {text}")


async def _check_status(response: httpx2.Response, asked: str, now: datetime) -> None:
    status = response.status_code
    if status == 200:
        return
    # The standard's phrase and not the bank's, whose words could say anything.
    told = f"{asked}: {status} {httpx2.codes.get_reason_phrase(status)}".rstrip()
    if response.is_redirect:
        told += ", and redirects are not followed"
    elif code := await error_code(response):
        told += f" ({code})"
    wait = retry_after(response.headers.get("Retry-After"), now) if status in (429, 503) else None
    raise NotObservedError(_why(status), told, wait)


def _why(status: int) -> Why:
    if status in (404, 410):
        return Why.UNKNOWN_ACCOUNT
    if status == 408:
        return Why.TIMED_OUT
    if status == 429:
        return Why.THROTTLED
    if 400 <= status < 500:
        # 401 and 403, and a request that the bank will not have: asking again as before does not help.
        return Why.ACCESS_REFUSED
    return Why.SERVER_ERROR if status >= 500 else Why.UNREADABLE  # 204, a redirect: no answer to what was asked


def _check_form(response: httpx2.Response, asked: str) -> None:
    kind, _, parameters = response.headers.get("Content-Type", "").lower().partition(";")
    kind = kind.strip()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise NotObservedError(Why.UNREADABLE, f"{asked}: 200, and its content type is {shown(kind)} and not JSON")
    charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "')
    if charset not in ("", "utf-8", "utf8"):
        raise NotObservedError(Why.UNREADABLE, f"{asked}: 200, and its charset is {shown(charset)} and not UTF-8")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        # Not asked for, and a small one can unpack to gigabytes.
        raise NotObservedError(Why.UNREADABLE, f"{asked}: 200, and the body is compressed, which was not asked for")


async def _read(response: httpx2.Response, asked: str) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise NotObservedError(Why.UNREADABLE, f"{asked}: 200, and the body is larger than {LARGEST_BODY} bytes")
    return bytes(body)


def _fault(error: BaseException) -> str:
    """What went wrong, by the kind of error and not by its words, which may repeat what was sent."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS: the bank's certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {cause.reason or type(cause).__name__}"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx2.ConnectError):
        return "no connection"
    if isinstance(error, httpx2.RemoteProtocolError | httpx2.ReadError):
        return "the connection broke before the answer was complete"
    return type(error).__name__
