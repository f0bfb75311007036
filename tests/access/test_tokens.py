"""Tokens against a real server: fetched once, kept, renewed, and what comes of a token endpoint that fails."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from access.token_bank import Reply, TokenBank, granted, listening
from token_engine.banks.access import Access, open_client
from token_engine.banks.authentication import ClientSecretPost
from token_engine.banks.no_access import NoAccessError
from token_engine.banks.secrets import SecretReference
from token_engine.domain.observation import Why

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


@dataclass
class World:
    """A bank, a client of it, the client's clock, and the file that has its secret."""

    bank: TokenBank
    client: httpx2.AsyncClient
    secret: Path
    now: datetime = NOW

    async def ask(self) -> int:
        return (await self.client.get("/accounts")).status_code


def settings(url: str, secret: Path, **more: Any) -> Access:
    grant = ClientSecretPost(
        token_endpoint=f"{url}/token", client_id="firm", client_secret=SecretReference(file=str(secret))
    )
    return Access(base_url=url, authentication=grant, **more)


@asynccontextmanager
async def world(folder: Path, **more: Any) -> AsyncIterator[World]:
    bank = TokenBank()
    secret = folder / "secret"
    secret.write_text("first-secret\n")
    async with listening(bank) as url:
        bank.url = url
        there: World
        client = open_client(settings(url, secret, **more), lambda: there.now)
        there = World(bank, client, secret)
        async with client:
            yield there


def run(folder: Path, story: Callable[[World], Awaitable[None]], **more: Any) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), world(folder, **more) as there:
            await story(there)

    asyncio.run(main())


async def refused(there: World) -> NoAccessError:
    with pytest.raises(NoAccessError) as raised:
        await there.client.get("/accounts")
    return raised.value


def test_a_hundred_requests_need_one_token(tmp_path: Path) -> None:
    async def story(there: World) -> None:
        there.bank.before_token = lambda: asyncio.sleep(0.1)
        assert await asyncio.gather(*(there.ask() for _ in range(100))) == [200] * 100
        assert (there.bank.token_requests, len(there.bank.api_requests)) == (1, 100)

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("members", "kept_for"),
    [
        ({}, 570),  # 600 s less half a minute
        ({"expires_in": "600"}, 570),
        ({"expires_in": 600.9}, 570),
        ({"expires_in": 20}, 15),
        ({"expires_in": None}, 45),  # not told: a minute
        ({"expires_in": 10**15}, 86_370),  # a day at most
        ({"token_type": "bEARER"}, 570),
    ],
)
def test_a_token_is_kept_until_shortly_before_its_end(tmp_path: Path, members: dict[str, Any], kept_for: int) -> None:
    async def story(there: World) -> None:
        there.bank.tokens.add("t")
        there.bank.reply = lambda: granted("t", **members)
        requests = []
        for seconds in (0, kept_for - 1, kept_for):
            there.now = NOW + timedelta(seconds=seconds)
            assert await there.ask() == 200
            requests.append(there.bank.token_requests)
        assert requests == [1, 1, 2]

    run(tmp_path, story)


def test_its_life_counts_from_when_it_was_asked_for(tmp_path: Path) -> None:
    async def story(there: World) -> None:
        async def slowly() -> None:
            there.now += timedelta(seconds=500)

        there.bank.before_token = slowly
        await there.ask()
        there.now += timedelta(seconds=71)
        await there.ask()
        assert there.bank.token_requests == 2

    run(tmp_path, story)


def test_a_token_that_the_bank_takes_back_is_renewed_once_for_all(tmp_path: Path) -> None:
    async def story(there: World) -> None:
        await there.ask()
        there.now += timedelta(seconds=60)
        there.bank.tokens.clear()
        # On two connections: a refusal that kept its own would leave none to fetch a token by.
        assert await asyncio.gather(*(there.ask() for _ in range(50))) == [200] * 50
        assert there.bank.token_requests == 2

    run(tmp_path, story, connections=2)


def test_a_token_that_is_never_taken_is_renewed_once_and_then_left_for_a_while(tmp_path: Path) -> None:
    async def story(there: World) -> None:
        there.bank.reply = lambda: granted(f"nobody-knows-{there.bank.token_requests}")
        assert await there.ask() == 401
        assert (there.bank.token_requests, len(there.bank.api_requests)) == (2, 2)
        assert await asyncio.gather(*(there.ask() for _ in range(20))) == [401] * 20
        assert (there.bank.token_requests, len(there.bank.api_requests)) == (2, 22)
        there.now += timedelta(seconds=10)
        assert await there.ask() == 401
        assert there.bank.token_requests == 3

    run(tmp_path, story)


def test_a_secret_that_is_replaced_is_found(tmp_path: Path) -> None:
    async def story(there: World) -> None:
        await there.ask()
        there.bank.secret = "second-secret"
        there.secret.write_text("second-secret")
        there.now += timedelta(seconds=600)
        assert await there.ask() == 200
        there.secret.unlink()
        there.now += timedelta(seconds=600)
        missing = await refused(there)
        assert (missing.why, missing.text) == (
            Why.ACCESS_REFUSED,
            f"file {there.secret}: No such file or directory",
        )
        there.secret.write_text("second-secret")
        there.now += timedelta(seconds=60)
        assert await there.ask() == 200

    run(tmp_path, story)


def test_a_wrong_secret_is_not_tried_again_and_again(tmp_path: Path) -> None:
    async def story(there: World) -> None:
        there.secret.write_text("wrong-secret")
        for _ in range(5):
            error = await refused(there)
            assert (error.why, error.text) == (
                Why.ACCESS_REFUSED,
                "the token endpoint answered 401, invalid_client",
            )
            there.now += timedelta(seconds=11)
        assert (there.bank.token_requests, there.bank.api_requests) == (1, [])
        there.now += timedelta(seconds=5)
        await refused(there)
        assert there.bank.token_requests == 2
        there.now -= timedelta(days=1)  # a clock that is set back does not make the refusal last
        await refused(there)
        assert there.bank.token_requests == 3

    run(tmp_path, story)


def json_reply(status: int, text: str, **headers: str) -> Reply:
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, text.encode()


@pytest.mark.parametrize(
    ("reply", "why", "retry_after"),
    [
        (json_reply(400, '{"error": "invalid_scope"}'), Why.ACCESS_REFUSED, None),
        (json_reply(401, '{"error": "invalid_client"}', Retry_After="5"), Why.ACCESS_REFUSED, None),
        (json_reply(403, "<html>no</html>"), Why.ACCESS_REFUSED, None),
        (json_reply(404, ""), Why.ACCESS_REFUSED, None),
        (json_reply(400, '{"error": "temporarily_unavailable"}'), Why.SERVER_ERROR, None),
        (json_reply(429, "", Retry_After="7"), Why.THROTTLED, 7),
        (json_reply(429, "", Retry_After="Mon, 23 Nov 2026 09:01:00 GMT"), Why.THROTTLED, 60),
        (json_reply(503, "", Retry_After="soon"), Why.SERVER_ERROR, None),
        (json_reply(500, '{"error": {"deep": 1}}'), Why.SERVER_ERROR, None),
        (json_reply(408, ""), Why.TIMED_OUT, None),
        (json_reply(302, "", Location="/accounts"), Why.UNREADABLE, None),
        (json_reply(200, "<html>sign in</html>"), Why.UNREADABLE, None),
        (json_reply(200, '{"access_token": "t", "token_ty'), Why.UNREADABLE, None),
        (json_reply(200, '{"access_token": "t"}'), Why.UNREADABLE, None),
        (json_reply(200, '["access_token"]'), Why.UNREADABLE, None),
        ((200, {}, b'{"access_token": "\xff"}'), Why.UNREADABLE, None),
        (json_reply(200, "{}", Content_Encoding="gzip"), Why.UNREADABLE, None),
        (granted("t", token_type="DPoP"), Why.UNREADABLE, None),
        (granted("two\r\nX-Lines: 1"), Why.UNREADABLE, None),
        (granted(""), Why.UNREADABLE, None),
        (granted("t", access_token=None), Why.UNREADABLE, None),
        (granted("t", expires_in=0), Why.UNREADABLE, None),
        (granted("t", expires_in=-5), Why.UNREADABLE, None),
        (granted("t", expires_in="an hour"), Why.UNREADABLE, None),
        (granted("t", expires_in=True), Why.UNREADABLE, None),
        (granted("t", expires_in=float("nan")), Why.UNREADABLE, None),
        (granted("t", more="x" * 100_000), Why.UNREADABLE, None),
        (json_reply(200, '{"half": ', Content_Length="5000"), Why.UNREACHABLE, None),
    ],
)  # fmt: skip
def test_a_token_endpoint_that_gives_no_token(tmp_path: Path, reply: Reply, why: Why, retry_after: int | None) -> None:
    async def story(there: World) -> None:
        there.bank.reply = lambda: reply
        there.bank.before_token = lambda: asyncio.sleep(0.05)
        errors = await asyncio.gather(*(there.ask() for _ in range(20)), return_exceptions=True)
        assert there.bank.token_requests == 1  # who waited for the same request does not make another
        for error in errors:
            assert isinstance(error, NoAccessError)
            assert isinstance(error, httpx2.HTTPError)
            assert error.why is why, error.text
            assert error.retry_after == (None if retry_after is None else timedelta(seconds=retry_after))
            assert error.request.url == f"{there.bank.url}/accounts"
        assert there.bank.api_requests == []

    run(tmp_path, story)


def test_a_token_endpoint_that_is_silent_or_slow_and_one_that_is_not_there(tmp_path: Path) -> None:
    async def story(there: World) -> None:
        there.bank.before_token = lambda: asyncio.sleep(5)
        assert (await refused(there)).why is Why.TIMED_OUT

    run(tmp_path, story, answer_seconds=1)

    async def drop_by_drop() -> None:
        async def drops(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.1)

        server = await asyncio.start_server(drops, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with open_client(settings(url, tmp_path / "secret", answer_seconds=1), lambda: NOW) as client:
            with pytest.raises(NoAccessError) as raised:
                await client.get("/accounts")
            assert raised.value.why is Why.TIMED_OUT
        server.close()

    asyncio.run(drop_by_drop())

    async def nobody() -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
            async with open_client(settings(url, tmp_path / "secret"), lambda: NOW) as client:
                with pytest.raises(NoAccessError) as raised:
                    await client.get("/accounts")
                assert raised.value.why is Why.UNREACHABLE

    asyncio.run(nobody())


def test_who_asked_first_may_give_up_and_the_others_still_get_the_token(tmp_path: Path) -> None:
    async def story(there: World) -> None:
        asked = asyncio.Event()
        answer = asyncio.Event()

        async def before_token() -> None:
            asked.set()
            await answer.wait()

        there.bank.before_token = before_token
        first, *others = [asyncio.create_task(there.ask()) for _ in range(5)]
        await asked.wait()
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        answer.set()
        assert await asyncio.gather(*others) == [200] * 4
        assert there.bank.token_requests == 1

    run(tmp_path, story)


def test_closing_ends_a_request_for_a_token(tmp_path: Path) -> None:
    async def story(there: World) -> None:
        asked = asyncio.Event()

        async def before_token() -> None:
            asked.set()
            await asyncio.sleep(60)

        there.bank.before_token = before_token
        waiting = asyncio.create_task(there.ask())
        await asked.wait()
        await there.client.aclose()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "access token"]
        with pytest.raises(NoAccessError, match="the access to the bank was closed"):
            await waiting

    run(tmp_path, story)
