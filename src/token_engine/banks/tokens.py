"""Access tokens: fetched once for all who wait, kept until shortly before their end, renewed when one is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from datetime import datetime, timedelta
from typing import Final

import httpx2

from token_engine.banks.authentication import Grant
from token_engine.banks.no_access import NoAccessError
from token_engine.banks.secrets import SecretMissingError
from token_engine.banks.token_answer import AccessToken, NoToken, read_token_answer
from token_engine.banks.token_request import token_request
from token_engine.domain.observation import Why

_LONGEST_ANSWER: Final = 65_536
"""Bytes. A token is a few thousand at most."""
RENEWED_AT_MOST_EVERY: Final = timedelta(seconds=10)
"""A bank may refuse a good token for the sake of one account (its consent has ended). A sweep over thousands of such
accounts must not ask for as many tokens."""
REFUSAL_STANDS_FOR: Final = timedelta(seconds=60)
"""Authorization servers lock clients out that come with a wrong secret again and again."""


class Tokens:
    """The access token of one grant."""

    def __init__(
        self,
        grant: Grant,
        client: httpx2.AsyncClient,
        answer_within: timedelta,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        """`client` asks without authentication of its own, with the client certificate."""
        self._grant = grant
        self._client = client
        self._answer_within = answer_within
        self._clock = clock
        self._new_id = new_id
        self._last: AccessToken | NoToken | None = None
        self._renewed_at: datetime | None = None
        self._fetching: asyncio.Task[AccessToken | NoToken] | None = None

    async def token(self) -> AccessToken:
        """A token that may be used now. Raises NoAccessError."""
        last, now = self._last, self._clock()
        match last:
            case AccessToken() if now < last.good_until:
                return last
            case NoToken(why=Why.ACCESS_REFUSED) if _since(last.said_at, now, REFUSAL_STANDS_FOR):
                raise NoAccessError(last.why, last.text)
            case _:
                return await self._fetched()

    async def instead_of(self, refused: AccessToken) -> AccessToken:
        """Another token, since the bank refused this one; or the same, when no other is to be had so soon.

        Raises NoAccessError.
        """
        if self._last is refused:
            now = self._clock()
            if self._renewed_at is not None and _since(self._renewed_at, now, RENEWED_AT_MOST_EVERY):
                return refused
            self._renewed_at = now
            self._last = None  # nobody takes it any more while another is fetched
        return await self.token()

    async def close(self) -> None:
        """Stop a request that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    async def _fetched(self) -> AccessToken:
        if self._fetching is None:
            # A task of its own: who asked first may be cancelled while others wait for the same token.
            self._fetching = asyncio.create_task(self._fetch(), name="access token")
        fetching = self._fetching
        try:
            answer = await asyncio.shield(fetching)
        except asyncio.CancelledError:
            # Closed meanwhile: who waits is told so, and is not cancelled for it.
            if not fetching.cancelled():
                raise
            raise NoAccessError(Why.UNREACHABLE, "the access to the bank was closed") from None
        if isinstance(answer, NoToken):
            raise NoAccessError(answer.why, answer.text, answer.retry_after)
        return answer

    async def _fetch(self) -> AccessToken | NoToken:
        try:
            self._last = await self._ask()
            return self._last
        finally:
            self._fetching = None

    async def _ask(self) -> AccessToken | NoToken:
        asked_at = self._clock()
        try:
            request = token_request(self._grant, asked_at, self._new_id)
            async with asyncio.timeout(self._answer_within.total_seconds()):
                response, body = await self._send(request)
        except SecretMissingError as missing:
            return NoToken(why=Why.ACCESS_REFUSED, text=str(missing), said_at=self._clock())
        except NoAccessError as error:
            return NoToken(why=error.why, text=error.text, said_at=self._clock())
        except (httpx2.TimeoutException, TimeoutError):
            return NoToken(why=Why.TIMED_OUT, text="the token endpoint did not answer in time", said_at=self._clock())
        except httpx2.DecodingError:
            return NoToken(
                why=Why.UNREADABLE, text="the token endpoint's answer does not unpack", said_at=self._clock()
            )
        except httpx2.HTTPError as error:
            # Of what libraries say only a failed connection's text is known to quote nothing that was sent.
            detail = f": {error}" if isinstance(error, httpx2.ConnectError) else ""
            text = f"token endpoint: {type(error).__name__}{detail}"
            return NoToken(why=Why.UNREACHABLE, text=text, said_at=self._clock())
        if body is None:
            return NoToken(why=Why.UNREADABLE, text="the token endpoint's answer is too long", said_at=self._clock())
        return read_token_answer(response.status_code, response.headers, body, asked_at, self._clock())

    async def _send(self, request: httpx2.Request) -> tuple[httpx2.Response, bytes | None]:
        response = await self._client.send(request, stream=True)
        try:
            body = b""
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _LONGEST_ANSWER:
                    return response, None
            return response, body
        finally:
            await response.aclose()


def _since(then: datetime, now: datetime, span: timedelta) -> bool:
    return abs(now - then) < span  # a clock that is set back must not make it last


class TokenAuth(httpx2.Auth):
    """Puts the token on each request; when the bank refuses it (401), renews it once and asks once more."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """As httpx2 asks for it. Raises NoAccessError."""
        await request.aread()
        try:
            token = await self._tokens.token()
        except NoAccessError as error:
            error.request = request
            raise
        request.headers["Authorization"] = token.header()
        response = yield request
        if response.status_code != 401:
            return
        # Read to its end, it gives its connection back, which the request for a token may need.
        await response.aread()
        try:
            another = await self._tokens.instead_of(token)
        except NoAccessError as error:
            error.request = request
            raise
        if another is not token:
            request.headers["Authorization"] = another.header()
            yield request

    def sync_auth_flow(self, _: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Refused: tokens are fetched by asyncio."""
        raise RuntimeError("an asynchronous client is needed")
