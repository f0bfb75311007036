"""What may go wrong between a connector and its bank: each fault has its reason; none is a balance or an exception."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import httpx2
import msgspec
import pytest

from connectors.bank import Bank, Reply, Request, Server, ok, zipped
from connectors.subjects import ACCOUNT, HTTP_SUBJECTS, NOW, UNNAMED, Books, HttpSubject, Told
from token_engine.banks import answers, error_codes
from token_engine.banks.connector import Connector
from token_engine.domain.observation import BankAccount, NoObservation, Observation, Why

pytestmark = pytest.mark.parametrize("subject", HTTP_SUBJECTS, ids=lambda s: s.name)
LISTING = [s for s in HTTP_SUBJECTS if s.lists_accounts]

MONEY = Books(told=[Told(amount=Decimal("5000000.00"))])


def ask(subject: HttpSubject, bank: Bank, account: BankAccount = ACCOUNT, seconds: float = 10) -> NoObservation:
    """Ask a bank that does not answer well."""

    async def run() -> Observation | NoObservation:
        async with subject.to(bank, seconds=seconds) as connector:
            return await connector.booked_balance(account, NOW)

    answer = asyncio.run(run())
    assert isinstance(answer, NoObservation), answer
    return answer


def good(subject: HttpSubject, bank: Bank) -> Callable[[Request], Reply]:
    return lambda request: subject.respond(MONEY, request)


@pytest.mark.parametrize("account", [ACCOUNT, UNNAMED], ids=["balances", "list"])
@pytest.mark.parametrize(
    ("status", "why"),
    [
        (500, Why.SERVER_ERROR), (502, Why.SERVER_ERROR), (503, Why.SERVER_ERROR), (599, Why.SERVER_ERROR),
        (401, Why.ACCESS_REFUSED), (403, Why.ACCESS_REFUSED), (400, Why.ACCESS_REFUSED), (406, Why.ACCESS_REFUSED),
        (404, Why.UNKNOWN_ACCOUNT), (408, Why.TIMED_OUT), (429, Why.THROTTLED),
        (204, Why.UNREADABLE), (206, Why.UNREADABLE), (302, Why.UNREADABLE), (304, Why.UNREADABLE),
    ],
)  # fmt: skip
def test_a_status_says_why(subject: HttpSubject, bank: Bank, account: BankAccount, status: int, why: Why) -> None:
    body = b"" if status in (204, 304) else subject.respond(MONEY, Request("", "", {}, "")).body
    bank.respond = lambda request: Reply(status=status, body=body)
    answer = ask(subject, bank, account)
    assert (answer.why, answer.retry_after) == (why, None)
    # For a person: method, path and status.
    assert answer.text.startswith("GET /")
    assert str(status) in answer.text
    assert len(bank.requests) == 1
    assert bank.requests[0].path in answer.text


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("120", timedelta(minutes=2)),
        ("Mon, 23 Nov 2026 10:45:00 GMT", timedelta(minutes=15)),
        ("Mon, 23 Nov 2026 10:15:00 GMT", timedelta(0)),
        ("soon", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_when_to_ask_again(subject: HttpSubject, bank: Bank, status: int, said: str, wait: timedelta | None) -> None:
    bank.respond = lambda request: Reply(status=status, headers={"Retry-After": said})
    assert ask(subject, bank).retry_after == wait


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"tppMessages": [{"category": "ERROR", "code": "CONSENT_EXPIRED", "text": "..."}]}', "(CONSENT_EXPIRED)"),
        (b'{"Errors": [{"ErrorCode": "UK.OBIE.Resource.InvalidConsentStatus"}]}', "InvalidConsentStatus)"),
        (b'{"Errors": [{"Code": "Consent.AccountTemporarilyBlocked", "Message": "x"}]}', "TemporarilyBlocked)"),
        (b'{"error": "invalid_token"}', "(invalid_token)"),
        (b'{"error": "a sentence of the bank, with who knows what in it"}', "403 Forbidden"),
        (b'{"error": {"code": 5}}', "403 Forbidden"),
        (b'{"tppMessages": []}', "403 Forbidden"),
        (b'{"error": "x"}' + b" " * 20_000, "403 Forbidden"),
        (b"[" * 16_000, "403 Forbidden"),
        (b"<html>", "403 Forbidden"),
    ],
)
def test_the_code_of_an_error_is_told(subject: HttpSubject, bank: Bank, body: bytes, code: str) -> None:
    bank.respond = lambda request: Reply(status=403, body=body, content_type="application/problem+json")
    answer = ask(subject, bank)
    assert answer.why is Why.ACCESS_REFUSED
    assert answer.text.endswith(code)


def test_an_error_that_is_cut_or_never_ends_is_that_error(
    subject: HttpSubject, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(error_codes, "_LONGEST", 0.1)
    body = b'{"error": "invalid_token"}'
    for reply in (Reply(status=401, body=body, cut_after=10), Reply(status=401, body=body, dripping=True)):
        bank.respond = lambda request, reply=reply: reply  # type: ignore[misc]
        answer = ask(subject, bank)
        assert (answer.why, answer.text.endswith("401 Unauthorized")) == (Why.ACCESS_REFUSED, True)
    assert bank.let_go.wait(10), "the connection is still open"


def test_no_redirect_is_followed(subject: HttpSubject, bank: Bank, server: Server) -> None:
    with server.bank() as elsewhere:
        bank.respond = lambda request: Reply(status=307, headers={"Location": elsewhere.base_url + request.path})
        answer = ask(subject, bank)
        assert "not followed" in answer.text
        assert elsewhere.requests == []


def test_nobody_listens(subject: HttpSubject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    answer = ask(subject, Bank(f"http://127.0.0.1:{port}/x"))
    assert (answer.why, "no connection" in answer.text) == (Why.UNREACHABLE, True)


def test_a_bank_without_tls_where_tls_was_asked(subject: HttpSubject, bank: Bank) -> None:
    answer = ask(subject, Bank(bank.base_url.replace("http://", "https://")))
    assert (answer.why, "TLS" in answer.text) == (Why.UNREACHABLE, True)


def test_silence(subject: HttpSubject, bank: Bank) -> None:
    bank.respond = lambda request: Reply(silent=True)
    while not bank.asked.is_set():  # on a busy machine the time may be over before the question is there
        assert ask(subject, bank, seconds=0.1).why is Why.TIMED_OUT
    assert bank.let_go.wait(10), "the connection is still open"


def test_an_answer_that_never_ends(subject: HttpSubject, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "LONGEST_ANSWER", 0.3)
    bank.respond = lambda request: Reply(dripping=True)
    assert ask(subject, bank, seconds=10).why is Why.TIMED_OUT
    assert bank.let_go.wait(10), "the connection is still open"


@pytest.mark.parametrize("account", [ACCOUNT, UNNAMED], ids=["balances", "list"])
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_half_an_answer(subject: HttpSubject, bank: Bank, account: BankAccount, share: float) -> None:
    def respond(request: Request) -> Reply:
        whole = subject.respond(MONEY, request)
        return msgspec.structs.replace(whole, cut_after=int(len(whole.body) * share))

    bank.respond = respond
    answer = ask(subject, bank, account)
    assert (answer.why, "broke" in answer.text) == (Why.UNREACHABLE, True)


@pytest.mark.parametrize("account", [ACCOUNT, UNNAMED], ids=["balances", "list"])
@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"null", b"[]", b"0", b'"0"', b"{}", b"{", b"\xff\xfe", b"<html>5000000.00</html>", b"[" * 200_000,
        b'{"balances": NaN}', b'{"Data": {"Balance": [], "Balance": []}}', b"\xef\xbb\xbf{}", b"1e999999999",
    ],
    ids=repr,
)  # fmt: skip
def test_a_body_that_is_no_answer(subject: HttpSubject, bank: Bank, account: BankAccount, body: bytes) -> None:
    bank.respond = lambda request: Reply(body=body)
    answer = ask(subject, bank, account)
    # A bank with an API of its own may say nothing at the declared place: that is no balance, and not zero.
    silence = Why.NO_BOOKED_BALANCE if subject.name == "json" else Why.UNREADABLE
    assert answer.why in (Why.UNREADABLE, silence)


def test_a_body_that_is_too_large(subject: HttpSubject, bank: Bank) -> None:
    def respond(request: Request) -> Reply:
        whole = subject.respond(MONEY, request)
        return msgspec.structs.replace(whole, body=whole.body + b" " * answers.LARGEST_BODY)

    bank.respond = respond
    answer = ask(subject, bank)
    assert (answer.why, "larger" in answer.text) == (Why.UNREADABLE, True)


def test_a_compressed_body(subject: HttpSubject, bank: Bank) -> None:
    bank.respond = lambda request: zipped(subject.respond(MONEY, request))
    answer = ask(subject, bank)
    assert (answer.why, "compressed" in answer.text) == (Why.UNREADABLE, True)
    assert bank.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("kind", "readable"),
    [
        ("application/json", True), ("application/json; charset=utf-8", True), ("Application/JSON;charset=UTF-8", True),
        ("application/hal+json", True), ("text/html", False), ("application/jwt", False), (None, False),
        ("application/json; charset=iso-8859-1", False), ("text/json", False), ("application/jsonl", False),
    ],
)  # fmt: skip
def test_the_content_type(subject: HttpSubject, bank: Bank, kind: str | None, readable: bool) -> None:
    bank.respond = lambda request: msgspec.structs.replace(subject.respond(MONEY, request), content_type=kind)

    async def run() -> Observation | NoObservation:
        async with subject.to(bank) as connector:
            return await connector.booked_balance(ACCOUNT, NOW)

    answer = asyncio.run(run())
    if readable:
        assert isinstance(answer, Observation), answer
    else:
        assert isinstance(answer, NoObservation), answer
        assert answer.why is Why.UNREADABLE


def test_a_cancelled_question_leaves_nothing_open(subject: HttpSubject, bank: Bank) -> None:
    """With one connection at most, whatever stayed open would be in the way of the next question."""

    async def run() -> None:
        bank.respond = lambda request: Reply(silent=True)
        limits = httpx2.Limits(max_connections=1)
        client = httpx2.AsyncClient(base_url=bank.base_url, limits=limits, timeout=5, verify=False)
        connector = subject.connector(client)
        try:
            asking = asyncio.create_task(connector.booked_balance(ACCOUNT, NOW))
            assert await asyncio.to_thread(bank.asked.wait, 10)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert await asyncio.to_thread(bank.let_go.wait, 10), "the connection is still open"
            bank.respond = good(subject, bank)
            assert isinstance(await connector.booked_balance(ACCOUNT, NOW), Observation)
        finally:
            await connector.close()

    asyncio.run(run())


def test_after_a_fault_the_next_question_is_answered(subject: HttpSubject, bank: Bank) -> None:
    faults = [
        Reply(status=500, body=b" " * 500_000),
        Reply(body=b"{"),
        Reply(body=b'{"a": 1}', cut_after=3),
        Reply(status=429),
    ]

    async def run(connector: Connector) -> None:
        for fault in faults:
            bank.respond = lambda request, fault=fault: fault  # type: ignore[misc]
            assert isinstance(await connector.booked_balance(ACCOUNT, NOW), NoObservation)
            bank.respond = good(subject, bank)
            assert isinstance(await connector.booked_balance(ACCOUNT, NOW), Observation)

    async def open_and_run() -> None:
        # One connection at most: whatever stayed open would be in the way.
        async with subject.to(bank, seconds=3, connections=1) as connector:
            await run(connector)

    asyncio.run(open_and_run())


def test_many_accounts_at_once_each_get_their_own(subject: HttpSubject, bank: Bank) -> None:
    """Fifty accounts by one connector: nothing of one question stands in the answer to another."""

    def respond(request: Request) -> Reply:
        number = next(n for n in request.path.split("/") if n.startswith("AE99"))
        books = Books(told=[Told(amount=Decimal(int(number[4:])))])
        content = msgspec.json.encode(subject.balances(books, number)).replace(ACCOUNT.number.encode(), number.encode())
        return Reply(body=content)

    async def run() -> None:
        accounts = [BankAccount(number=f"AE99{n:08}", currency="AED", resource=f"AE99{n:08}") for n in range(1, 51)]
        async with subject.to(bank) as connector:
            answers = await asyncio.gather(*(connector.booked_balance(a, NOW) for a in accounts))
        assert [a.balance if isinstance(a, Observation) else a for a in answers] == [Decimal(n) for n in range(1, 51)]

    bank.respond = respond
    asyncio.run(run())


def test_an_answer_in_order_is_read_by_these_tests_too(subject: HttpSubject, bank: Bank) -> None:
    """So that a fault above is the reason for its refusal."""
    bank.respond = lambda request: ok(subject.balances(MONEY, "resource-1"))

    async def run() -> Observation | NoObservation:
        async with subject.to(bank) as connector:
            return await connector.booked_balance(ACCOUNT, NOW)

    assert isinstance(asyncio.run(run()), Observation)
    assert len(bank.requests) == 1
