"""Every public statement through the whole end of day: nothing fails on it, and what is accepted is the position."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from road.bench import Bench, Road, came
from token_engine.domain.money import CURRENCIES
from token_engine.domain.notification import MessageKind
from token_engine.domain.receipt import AlreadyRecorded, Recorded, Rejected
from token_engine.domain.refusal import Refusal
from token_engine.domain.statement_balances import opening_of
from token_engine.iso20022.reader import kind_of, read_message
from token_engine.storage import accounts
from token_engine.tiers import end_of_day

SHARED = Path(os.environ.get("TOKEN_ENGINE_SHARED", Path(__file__).parents[3] / "shared"))
SAMPLES = SHARED / "samples"
_MOMENT = datetime(2035, 1, 1, tzinfo=UTC)


def _statements() -> list[Path]:
    if not SAMPLES.exists():
        return []
    files = (path for path in sorted(SAMPLES.rglob("*")) if path.is_file() and path.suffix not in (".tsv", ".md"))
    return [path for path in files if kind_of(path.read_bytes()) is MessageKind.STATEMENT]


@pytest.mark.skipif(not SAMPLES.exists(), reason=f"the public samples are not at {SAMPLES}")
@pytest.mark.parametrize("path", _statements(), ids=lambda path: str(path.relative_to(SAMPLES)))
def test_a_public_statement(bench: Bench, path: Path) -> None:
    raw = path.read_bytes()
    said = read_message(raw)

    async def story(road: Road) -> None:
        made: dict[tuple[str, str], Any] = {}
        if not isinstance(said, Refusal):
            for each in said:
                currency = each.heading.currency or next((e.currency for e in each.entries), None)
                key = each.heading.account_number, str(currency)
                if currency in CURRENCIES and key not in made:
                    opening = opening_of(each.heading, currency)
                    bank = str(opening.signed) if opening is not None else "0"
                    made[key] = await road.account(key[0], currency, ledger="0", bank=bank)
        for _ in range(2):  # and the same again
            [receipt] = await end_of_day.record(road.tx, [came(raw, "f")], _MOMENT)
            assert isinstance(receipt, Recorded | AlreadyRecorded | Rejected)
        if isinstance(said, Refusal):
            assert isinstance(receipt, Rejected)
            return
        assert await accounts.position_drift(road.tx) == []
        if isinstance(receipt, AlreadyRecorded):
            standing = [day for day in receipt.days if day.state == "ACCEPTED"]
            for day in standing:
                latest = max(d.statement_date for d in standing if d.account_id == day.account_id)
                valued_later = any(e.value_date and e.value_date > latest for each in said for e in each.entries)
                if day.statement_date == latest and not valued_later:
                    assert await road.position(day.account_id) == Decimal(day.bank_balance)

    bench.void(story)
