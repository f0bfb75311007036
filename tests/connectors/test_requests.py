"""What banks are asked: the standard's paths and headers, page by page, and nothing that they need not know."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest

from connectors.bank import Bank, Reply, Request, Server, ok
from connectors.subjects import ACCOUNT, HTTP_SUBJECTS, NOW, SECRET, UNNAMED, HttpSubject
from connectors.test_faults import LISTING, MONEY
from token_engine.domain.observation import BankAccount, NoObservation, Observation, Why

PATHS = {
    "berlin_group": "/v1/accounts",
    "uk_open_banking v3.1": "/open-banking/v3.1/aisp/accounts",
    "uk_open_banking v4.0": "/open-banking/v4.0/aisp/accounts",
    "uae_open_finance": "/open-finance/account-information/v2.1/accounts",
}
IDS = {"berlin_group": "x-request-id"}
Listed = tuple[str, str, str]
OTHERS: Sequence[Listed] = [(f"other-{n}", f"AE98{n:04}", "AED") for n in range(3)]


def ask(subject: HttpSubject, bank: Bank, *accounts: BankAccount) -> list[Observation | NoObservation]:
    async def run() -> list[Observation | NoObservation]:
        async with subject.to(bank) as connector:
            return [await connector.booked_balance(account, NOW) for account in accounts]

    return asyncio.run(run())


def listing(subject: HttpSubject, bank: Bank, listed: Sequence[Listed], link: str | None = None) -> None:
    """A bank in good order but for its list."""

    def respond(request: Request) -> Reply:
        if request.path.endswith("/accounts"):
            return ok(subject.accounts(listed, link))
        return subject.respond(MONEY, request)

    bank.respond = respond


@pytest.mark.parametrize("subject", LISTING, ids=lambda s: s.name)
def test_paths_and_headers_of_the_standard(subject: HttpSubject, bank: Bank) -> None:
    bank.respond = lambda request: subject.respond(MONEY, request)
    assert all(isinstance(answer, Observation) for answer in ask(subject, bank, UNNAMED, UNNAMED, ACCOUNT))
    accounts = PATHS[subject.name]
    balances = f"{accounts}/resource-1/balances"
    # The list is asked for once: banks count requests.
    assert [r.path for r in bank.requests] == [accounts, balances, balances, balances]
    ids = [r.headers[IDS.get(subject.name, "x-fapi-interaction-id")] for r in bank.requests]
    assert len({UUID(each) for each in ids}) == 4
    for request in bank.requests:
        assert request.query == ""
        assert request.headers["accept"] == "application/json"
        assert request.headers["authorization"] == f"Bearer {SECRET}"
        assert request.headers.get("consent-id") == (SECRET if subject.name == "berlin_group" else None)
        # Nobody sits at a screen.
        assert not [name for name in request.headers if name.startswith(("psu-", "x-fapi-customer"))]


@pytest.mark.parametrize("subject", HTTP_SUBJECTS, ids=lambda s: s.name)
def test_a_name_cannot_leave_its_place_in_the_path(subject: HttpSubject, bank: Bank) -> None:
    for name in ("a/../../secrets", "a?b=c#d", "ä b%2F"):
        account = BankAccount(number=name, currency="AED", resource=name)
        ask(subject, bank, account)
        path = bank.requests[-1].path
        assert path.count("/") == (PATHS.get(subject.name, "/accounts") + "/x/balances").count("/"), path
    asked = len(bank.requests)
    for name in ("", ".", ".."):
        [answer] = ask(subject, bank, BankAccount(number=name, currency="AED", resource=name))
        assert isinstance(answer, NoObservation)
        assert answer.why is Why.UNKNOWN_ACCOUNT
    assert len(bank.requests) == asked


@pytest.mark.parametrize("relative", [True, False], ids=["relative", "absolute"])
@pytest.mark.parametrize("subject", LISTING, ids=lambda s: s.name)
def test_the_account_on_the_last_page(subject: HttpSubject, bank: Bank, relative: bool) -> None:
    def respond(request: Request) -> Reply:
        if not request.path.endswith("/accounts"):
            return subject.respond(MONEY, request)
        page = int(request.query.removeprefix("page=") or 1)
        link = f"?page={page + 1}" if relative else f"{request.base}{request.path}?page={page + 1}"
        if page < 3:
            return ok(subject.accounts(OTHERS, link))
        return ok(subject.accounts([("resource-1", ACCOUNT.number, "AED")], None))

    bank.respond = respond
    [answer] = ask(subject, bank, UNNAMED)
    assert isinstance(answer, Observation), answer
    assert [r.query for r in bank.requests] == ["", "page=2", "page=3", ""]


@pytest.mark.parametrize(
    "link",
    [
        "http://127.0.0.1:1/accounts", "https://{bank}/accounts", "http://bank.example/accounts",
        "//bank.example/accounts", "http://user@{bank}/accounts", "file:///etc/passwd", "http://[", "javascript:1",
        "http://{bank}.bank.example/accounts",
    ],
)  # fmt: skip
@pytest.mark.parametrize("subject", LISTING, ids=lambda s: s.name)
def test_a_link_that_leads_away_is_not_followed(subject: HttpSubject, bank: Bank, server: Server, link: str) -> None:
    listing(subject, bank, OTHERS, link.replace("{bank}", f"127.0.0.1:{server.port}"))
    [answer] = ask(subject, bank, UNNAMED)
    assert isinstance(answer, NoObservation)
    assert answer.why is Why.UNREADABLE
    assert "link to the next page" in answer.text
    assert len(bank.requests) == 1


@pytest.mark.parametrize("subject", LISTING, ids=lambda s: s.name)
def test_pages_without_an_end(subject: HttpSubject, bank: Bank) -> None:
    listing(subject, bank, OTHERS, "?page=again")
    [answer] = ask(subject, bank, UNNAMED)
    assert isinstance(answer, NoObservation)
    assert (answer.why, "do not end" in answer.text) == (Why.UNREADABLE, True)
    assert len(bank.requests) == 2

    bank.respond = lambda request: ok(subject.accounts(OTHERS, f"?page={len(bank.requests)}"))
    [answer] = ask(subject, bank, UNNAMED)
    assert isinstance(answer, NoObservation)
    assert (answer.why, "do not end" in answer.text) == (Why.UNREADABLE, True)
    assert len(bank.requests) == 2 + 100


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        ([], Why.UNKNOWN_ACCOUNT),
        (OTHERS, Why.UNKNOWN_ACCOUNT),
        ([("a", ACCOUNT.number, "USD")], Why.OTHER_CURRENCY),
        ([("a", ACCOUNT.number, "AED"), ("b", ACCOUNT.number, "AED")], Why.CONTRADICTORY),
        ([("resource-1", ACCOUNT.number, "USD"), ("resource-1", ACCOUNT.number, "AED")], None),
        ([("resource-1", "ae07 0331 2345 6789 0123 456", "AED")], None),
    ],
)
@pytest.mark.parametrize("subject", LISTING, ids=lambda s: s.name)
def test_which_of_the_listed_accounts_is_meant(
    subject: HttpSubject, bank: Bank, listed: Sequence[Listed], why: Why | None
) -> None:
    listing(subject, bank, listed)
    [answer] = ask(subject, bank, UNNAMED)
    if why is None:
        assert isinstance(answer, Observation), answer
    else:
        assert isinstance(answer, NoObservation)
        assert answer.why is why
        assert len(bank.requests) == 1


@pytest.mark.parametrize("subject", LISTING, ids=lambda s: s.name)
def test_a_name_that_no_longer_leads_anywhere_is_looked_up_again(subject: HttpSubject, bank: Bank) -> None:
    def respond(request: Request) -> Reply:
        if request.path.endswith("/accounts"):
            return ok(subject.accounts([("resource-1", ACCOUNT.number, "AED")], None))
        return Reply(status=404) if len(bank.requests) == 2 else subject.respond(MONEY, request)

    bank.respond = respond
    first, second = ask(subject, bank, UNNAMED, UNNAMED)
    assert isinstance(first, NoObservation)
    assert first.why is Why.UNKNOWN_ACCOUNT
    assert isinstance(second, Observation), second
    assert len(bank.requests) == 4
