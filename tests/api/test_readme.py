"""The README's `curl` lines, run as they stand there, in order, against the engine that `make run` starts."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine import V1, Engine
from road.bus import bus, until

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
HEALTH = f"{V1}/reconciliation/health"


@dataclass
class Answer:
    """What a command must be answered: the status, and these members of `data` (a path with dots: its value)."""

    status: int
    data: dict[str, Any]


class Reader:
    """A person with the README before him: a shell, and the last `id` and receipt he was told of."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._settings: list[str] = []
        self._last_id = self._last_entry = ""

    def runs(self, statement: str) -> tuple[int, dict[str, Any]] | None:
        """The status and `data` (or `error`) of a `curl` command; None for a statement that is none.

        The command is verbatim but for ID and ENTRY, which stand for what an answer before it named. That it reaches
        a test's engine on another port is curl's own doing.
        """
        if "curl" not in statement:
            self._settings.append(statement)
            return None
        there = f"--connect-to localhost:8080:127.0.0.1:{self.engine.port}"
        if bank := re.search(r"http://127\.0\.0\.1:(\d+)/simulated", self.engine.log):
            there += f" --connect-to localhost:8081:127.0.0.1:{bank[1]}"
        curl = f"""curl() {{ command curl --silent --show-error {there} --write-out '\\n%{{http_code}}' "$@"; }}"""
        named = re.sub(r"/ENTRY\b", f"/{self._last_entry}", re.sub(r"/ID\b", f"/{self._last_id}", statement))
        script = "\n".join([curl, *self._settings, named])
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=60)
        body, _, status = done.stdout.rpartition("\n")
        said = json.loads(body)
        if "success" not in said:  # the demo's bank has no envelope
            return int(status), said
        data: dict[str, Any] = said["data"] if said["success"] else said["error"]
        self._last_id = str(data.get("id", self._last_id))
        if receipts := data.get("receipts"):
            self._last_entry = str(receipts[0]["entry_id"])
        return int(status), data

    def sends(self, change: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """The README's first message with some members changed, as its text tells the reader to send."""
        [command] = [s for s in statements(blocks()[0][0]) if "camt054" in s]
        for member, value in change.items():
            command, count = re.subn(rf'("{member}": )"[^"]*"', rf'\1"{value}"', command)
            assert count == 1, member
        answer = self.runs(command)
        assert answer is not None
        return answer


def blocks() -> list[tuple[str, str]]:
    """Each bash block with a `curl` in it, and the text from there to the next."""
    parts = re.split(r"^```bash\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
    found: list[tuple[str, str]] = []
    for block, text in zip(parts[1::2], parts[2::2], strict=True):
        if "curl" in block:
            found.append((block, " ".join(text.split())))
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]} {' '.join(text.split())}")
    return found


def statements(block: str) -> Iterator[str]:
    """What bash would run one after the other."""
    statement = ""
    for line in block.splitlines():
        statement += line + "\n"
        whole = subprocess.run(["bash", "-n", "-c", statement], capture_output=True, check=False).returncode == 0
        if whole and not line.endswith("\\"):
            if statement.strip():
                yield statement.strip()
            statement = ""
    assert not statement, f"no command: {statement}"


# What the text after a block tells the reader to do, or to see --------------------------------------------


def sent_again(reader: Reader, _: str) -> None:
    assert reader.sends({})[0] == 200


def the_money_goes_and_comes(reader: Reader, text: str) -> None:
    told = re.findall(r'`"message_id": "([^"]+)"`, `(CRDT|DBIT)`, `"([0-9.]+)"`', text)
    names = "message_id", "credit_debit_indicator", "amount"
    away, back = (dict(zip(names, one, strict=True)) for one in told)

    status, data = reader.sends(away)
    assert (status, data["threshold_level"], data["circuit_breaker"]) == (201, "Critical", "open")
    health = reader.engine.http.get(HEALTH)
    assert (health.status_code, health.json()["data"]["status"]) == (503, "CRITICAL")
    asyncio.run(announced(reader.engine, "reconciliation.circuit_breaker.activated", away["message_id"]))

    status, data = reader.sends(back)
    assert (status, data["threshold_level"], data["circuit_breaker"]) == (201, "Ok", "open")


def closed_again(reader: Reader, _: str) -> None:
    assert reader.engine.account("AE070331234567890123456")["circuit_breaker"] == "closed"


def keys_are_answered_once(reader: Reader, _: str) -> None:
    [transfer] = [s for block, _ in blocks() for s in statements(block) if "/transfers" in s]
    assert (reader.runs(transfer) or (0,))[0] == 201
    refused = reader.runs(transfer.replace("1500.00", "1501.00"))
    assert refused is not None
    assert (refused[0], refused[1]["code"]) == (409, "idempotency_conflict")
    holders = reader.engine.get(f"{V1}/supply/xAED/holders")["holders"]
    assert {"holder": "wallet-7", "balance": "1500.00"} in holders


def nothing_is_claimed(reader: Reader, _: str) -> None:
    today = datetime.now(UTC).date()
    report = reader.engine.get(f"{V1}/reports/day?date={today}&account_id=AE970260000000000000007")["report"]
    [line] = report["lines"]
    # On a weekend no statement is due, which is no evidence either.
    assert line["standing"] == ("no_evidence" if today.weekday() < 5 else "none_due")
    assert (line["requirement"], line["resource"]) == ("5002.00", None)


def the_difference_is_raised(reader: Reader, _: str) -> None:
    found = reader.engine.get(f"{V1}/discrepancies?account_id=AE460261000000000000001")["discrepancies"]
    assert {d["discrepancy_type"] for d in found} == {"BALANCE_MISMATCH", "POSITION_DIFFERS"}


async def announced(engine: Engine, subject: str, message_id: str) -> None:
    async with bus(engine.nats_url) as listener:

        async def there() -> bool:
            return any((e.subject, e.content["message_id"]) == (subject, message_id) for e in await listener.events())

        await until(there)


# Which blocks there are, in their order: what each command is answered, the words of the text after it that
# promise more, and what holds them to it. A block that is added to the README is added here.
TOUR: list[tuple[list[Answer], tuple[str, ...], Callable[[Reader, str], None] | None]] = [
    (
        [Answer(201, {"threshold_level": "Significant", "circuit_breaker": "suspended"})],
        ('`"threshold_level": "Significant"`', "new payouts on this account are suspended", "Send it again: `200`"),
        sent_again,
    ),
    (
        [Answer(200, {"accounts_judged": 4, "mismatch": 1}), Answer(200, {"status": "WARNING"})],
        ("`WARNING`.", "`Critical`, the breaker opens, `health` answers `503 CRITICAL`",
         "`reconciliation.circuit_breaker.activated` is on JetStream", "`Ok` again, and the breaker stays open"),
        the_money_goes_and_comes,
    ),
    (
        [
            Answer(200, {"payout.allowed": False, "payout.reasons": ["open"], "mint.reasons": ["open"]}),
            Answer(201, {"state": "PENDING", "requested_by": "ann"}),
            Answer(200, {"state": "APPROVED", "settled_by": "bob"}),
        ],
        (),
        closed_again,
    ),
    (
        [Answer(201, {"verdict": "Unknown", "ledger_balance": "0.00"}), Answer(201, {"state": "EXPECTED"})],
        ("the funding is `EXPECTED`", "the funding is `MET`"),
        None,
    ),
    (
        [
            Answer(201, {"threshold_level": "Ok", "ledger_balance": "5000.00", "bank_balance": "5000.00"}),
            Answer(200, {"state": "MET", "entry.amount": "5000.00", "movement.kind": "mint"}),
            Answer(201, {"kind": "transfer", "to_holder": "wallet-7"}),
        ],
        ("nothing is done twice; another request under the same key is refused (`409`)",),
        keys_are_answered_once,
    ),
    (
        [
            Answer(200, {"may_pay_out": "1500.00", "may_mint": "0.00"}),
            Answer(201, {"state": "HELD", "amount": "1200.00"}),
            Answer(200, {"state": "SENT", "sent_by": "bob"}),
            Answer(201, {"threshold_level": "Ok", "ledger_balance": "3800.00", "bank_balance": "3800.00"}),
            Answer(200, {"state": "SETTLED"}),
        ],
        ("released the hold in its own transaction: `SETTLED`", "and it is `RETURNED`"),
        None,
    ),
    (
        [
            Answer(201, {"threshold_level": "Ok", "ledger_balance": "5000.00", "bank_balance": "5000.00"}),
            Answer(200, {"state": "RETURNED"}),
            Answer(200, {"movements.0.kind": "mint", "movements.1.kind": "payout_settlement"}),
        ],
        ("excess, here `Minor`",),
        None,
    ),
    (
        [
            Answer(201, {"threshold_level": "Minor", "difference": "2.00"}),
            Answer(200, {"receipts.0.state": "UNALLOCATED", "receipts.0.amount": "2.00"}),
            Answer(201, {"state": "ALLOCATED"}),
            Answer(200, {"verdict": "Ok", "ledger_balance": "5002.00", "bank_reported_balance": "5002.00"}),
        ],
        ("`Ok` again, with 5,002.00 on both sides.",),
        None,
    ),
    (
        [
            Answer(200, {"report.scope.currency": "AED", "report.currencies.0.token": "xAED"}),
            Answer(200, {"incidents.0.open": False, "incidents.0.closing_approved_by": "bob"}),
        ],
        ("a resource is not claimed (`no_evidence`)",),
        nothing_is_claimed,
    ),
    (
        [
            Answer(201, {"reconciled": True, "difference": "0.00", "entries_recorded": 0, "entries_matched": 4,
                         "entries_unmatched": 0, "state": "ACCEPTED"}),
            Answer(200, {"matches.0.pass": "met"}),
        ],
        ('`"reconciled": true`, nothing recorded twice, four lines matched',),
        None,
    ),
    (
        [
            Answer(200, {"cut_off": "17:00", "set_by": "ann"}), Answer(200, {"missing": []}),
            Answer(200, {"statements": []}),
        ],
        ("raised as `STATEMENT_MISSING`", "the account is `Stale`"),
        None,
    ),
    (
        [
            Answer(200, {}),
            Answer(200, {"threshold_level": "Critical", "circuit_breaker": "open",
                         "connection": "demo-berlin-group"}),
            Answer(200, {"polling.every_minutes": 15, "polls.0.level": "Critical"}),
            Answer(200, {"payout.allowed": False, "payout.reasons": ["open"]}),
        ],
        ("the verdict is `Critical`, the breaker opens, and `POSITION_DIFFERS`",),
        the_difference_is_raised,
    ),
    (
        [
            Answer(200, {"polling.polls_a_day": 4, "polling.set_by": "ann"}),
            Answer(200, {"accounts_judged": 5}),
            Answer(200, {"connections.0.name": "demo-berlin-group"}),
        ],
        ("`polls_a_day` is the bank's budget in any 24 hours (PSD2 without the user: 4)",),
        None,
    ),
    (
        [Answer(200, {"account_number": "AE070331234567890123456", "drift_raised": False})],
        ("raised as `DRIFT`",),
        None,
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("readme") / "data", "--demo") as running:
        yield running


def test_the_commands_of_the_readme_are_answered_as_it_says(demo: Engine) -> None:
    reader = Reader(demo)
    assert {a["verdict"] for a in demo.get(f"{V1}/accounts")["accounts"]} == {"Ok"}, "four accounts, all `Ok`"
    for (block, text), (answers, words, then) in zip(blocks(), TOUR, strict=True):
        given = [answer for statement in statements(block) if (answer := reader.runs(statement))]
        for (status, data), expected in zip(given, answers, strict=True):
            assert status == expected.status, data
            assert {path: member(data, path) for path in expected.data} == expected.data
        for word in words:
            assert word in text, f"the README no longer says {word}"
        if then is not None:
            then(reader, text)


def member(data: Any, path: str) -> Any:
    for name in path.split("."):
        data = data[int(name)] if isinstance(data, list) else data[name]
    return data
