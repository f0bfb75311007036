"""A batch of n holds does what n batches of one do, and what a reader of the rules with a pencil would.

Each example is a story of several accounts: a hot one, one whose breaker is open, one that is suspended, one whose
bank has not spoken, one that is closed, one whose ledger is kept elsewhere, and one number in two currencies.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from road.bench import NOW, TABLES, Bench, Road, note
from road.payers import HOLDER, asked, held
from token_engine.domain.ledger import Mode
from token_engine.storage import payouts as stored
from token_engine.tiers import accounts, orders
from token_engine.tiers.accounts import NewAccount
from token_engine.tiers.once import Answer
from token_engine.tiers.payouts import Hold

modest = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
NUMBERS = ("HOT", "OPEN", "SUSPENDED", "SILENT", "CLOSED", "ELSEWHERE", "TWICE", "UNKNOWN")
BALANCES = {HOLDER: Decimal(60), "BANKAEAD": Decimal(40)}

requests = st.builds(
    lambda *words: words,
    st.sampled_from([*"abcdefgh"]),
    st.sampled_from(["HOT", "HOT", "HOT", "HOT", *NUMBERS]),
    st.sampled_from(["1", "10", "10.00", "25", "39.99", "0", "0.001", "x", "1000"]),
    st.sampled_from([HOLDER, HOLDER, "BANKAEAD", "nobody", ""]),
    st.sampled_from([None, None, None, "E1", "E2", "NOTPROVIDED"]),
    st.sampled_from([None, None, "AED", "USD"]),
)
Request = tuple[str, str, str, str, str | None, str | None]


async def stage(road: Road) -> dict[str, UUID]:
    found = {}
    for number in ("HOT", "OPEN", "SUSPENDED", "SILENT", "CLOSED", "TWICE"):
        bank = None if number == "SILENT" else "100"
        found[number] = await road.account(number, ledger="100", bank=bank)
        wanted = orders.Transfer(
            account_id=number, from_holder=HOLDER, to_holder="BANKAEAD", amount="40", actor="tests"
        )  # fmt: skip
        await orders.transfer(road.tx, wanted, "passed", NOW)
    found["TWICE/USD"] = await road.account("TWICE", "USD", ledger="100", bank="100")
    elsewhere = NewAccount(
        account_number="ELSEWHERE", currency="AED", bank="Bank", ledger_balance="100", bank_balance="100",
        ledger_mode=Mode.EXTERNAL,
    )  # fmt: skip
    made = await accounts.create(road.tx, elsewhere, "tests", NOW)
    assert isinstance(made, dict)
    found["ELSEWHERE"] = UUID(made["id"])
    await road.take(note("O", "1.00", number="OPEN", debit=True), note("S", "0.20", number="SUSPENDED"))
    await accounts.close(road.tx, "CLOSED", "tests", NOW)
    return found


class Pencil:
    """The rules once more, one request after the other."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[Request, str]] = {}
        self.held: dict[tuple[str, str], Decimal] = {}
        self.tags: set[tuple[str, str]] = set()

    def word(self, request: Request) -> str:
        key = request[0]
        if key in self.answers:
            first, word = self.answers[key]
            # 10 and 10.00 are one amount.
            alike = [(*r[:2], r[2].removesuffix(".00"), *r[3:]) for r in (first, request)]
            return word if alike[0] == alike[1] else "idempotency_conflict"
        word = self.first(request)
        self.answers[key] = request, word
        return word

    def first(self, request: Request) -> str:
        _, number, amount, holder, tag, currency = request
        if amount in ("0", "x"):
            return "invalid_amount"
        if not holder:
            return "invalid_text"
        if tag == "NOTPROVIDED":
            return "invalid_end_to_end_id"
        if number == "UNKNOWN" or (currency == "USD" and number != "TWICE"):
            return "unknown_account"
        if number == "TWICE" and currency is None:
            return "ambiguous_account"
        if number == "ELSEWHERE":
            return "wrong_ledger_mode"
        if amount == "0.001":
            return "invalid_amount"
        place = f"{number}/{currency}" if currency == "USD" else number
        if tag is not None and (place, tag) in self.tags:
            return "duplicate_end_to_end_id"
        shut = {
            "CLOSED": "account_closed", "OPEN": "breaker_open", "SUSPENDED": "breaker_suspended",
            "SILENT": "no_fresh_evidence",
        }  # fmt: skip
        if number in shut:
            return shut[number]
        has = {HOLDER: Decimal(100)} if place == "TWICE/USD" else BALANCES
        balance, before = has.get(holder, Decimal(0)), self.held.get((place, holder), Decimal(0))
        if balance < Decimal(amount):
            return "insufficient_holder_balance"
        if balance - before < Decimal(amount):
            return "insufficient_available"
        self.held[place, holder] = before + Decimal(amount)
        if tag is not None:
            self.tags.add((place, tag))
        return "HELD"


def asks(n: int, request: Request) -> Hold:
    key, number, amount, holder, tag, currency = request
    return asked(
        amount, key=key, number=number, holder=holder, end_to_end_id=tag, currency=currency, payout_id=UUID(int=n)
    )


def word(answer: Answer) -> str:
    content = json.loads(answer.content)
    return str(content["code"] if answer.status >= 400 else content["state"])


DRAWN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
"""Ids of accounts, which the staging draws; the tests choose those of payouts."""
WRITTEN = {
    "payouts": "true", "emi_accounts": "true", "ledger_holders": "true", "idempotency_keys": "true",
    "outbox": "subject LIKE '%%.payout.%%'", "audit_log": "action LIKE 'payout%%'",
}  # fmt: skip
"""What holds write, and which rows of it are theirs."""


async def everything(road: Road) -> dict[str, Any]:
    """What is theirs, word by word, and how many rows there are of all else."""
    found: dict[str, Any] = {}
    for table in TABLES:
        found[table] = (await road.row(f"SELECT count(*) AS n FROM {table}"))["n"]
    for table, theirs in WRITTEN.items():
        rows = await road.rows(f"SELECT * FROM {table} WHERE {theirs}")
        plain = [DRAWN.sub("drawn", str([v for k, v in r.items() if k != "id" or table == "payouts"])) for r in rows]
        found[f"{table}, word by word"] = sorted(plain)
    return found


@modest
@given(st.lists(requests, min_size=1, max_size=12))
def test_a_batch_equals_singles_and_the_rules(bench: Bench, story: list[Request]) -> None:
    async def together(road: Road) -> tuple[list[Answer], dict[str, Any], dict[str, str]]:
        ids = await stage(road)
        answers = await held(road, *(asks(n, request) for n, request in enumerate(story)))
        assert await stored.drift(road.tx) == []
        kept = {n: f"{(await road.state(i))['reserved_balance']:f}" for n, i in ids.items()}
        return answers, await everything(road), kept

    async def apart(road: Road) -> tuple[list[Answer], dict[str, Any]]:
        await stage(road)
        answers = [(await held(road, asks(n, request)))[0] for n, request in enumerate(story)]
        return answers, await everything(road)

    in_one, whole, kept = bench.void(together)
    one_by_one, whole_of_singles = bench.void(apart)
    assert [word(a) for a in in_one] == [word(a) for a in one_by_one]
    assert [(a.status, a.again) for a in in_one] == [(a.status, a.again) for a in one_by_one]
    for table, rows in whole.items():
        assert rows == whole_of_singles[table], table

    pencil = Pencil()
    assert [word(a) for a in in_one] == [pencil.word(request) for request in story]
    for place, reserved in kept.items():
        assert Decimal(reserved) == sum((v for (p, _), v in pencil.held.items() if p == place), Decimal(0))
