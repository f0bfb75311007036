"""A batch of n does what n batches of one do; order, repetition and redelivery change no balance.

Each example is a story of several accounts, told by messages of every kind, good and bad. It is taken in
as one batch and message by message, each in a transaction that is rolled back, and the two databases
are compared whole, but for ids that the engine draws. The balances are recomputed from the raw messages by
a reader of this file's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from road.bench import NOW, TABLES, Bench, Road, camt, line, note, report, section
from token_engine.domain.receipt import Receipt, Recorded, Rejected
from token_engine.tiers import accounts, notification

modest = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

ACCOUNTS = {("ONE", "AED"): "1000", ("TWO", "AED"): "1000", ("TWO", "USD"): "1000", ("YEN", "JPY"): "100000"}
BASE = {number_and_currency: Decimal(balance) for number_and_currency, balance in ACCOUNTS.items()}

EXPECTED = ("F-1", "F-2", "P-HELD", "P-SENT")
"""The end-to-end ids under which every account waits for something."""

amounts = st.sampled_from(["1", "0.10", "4", "100", "1", "4.00", "0"])
dates = st.sampled_from([None, "2025-11-17", "2025-11-18"])


@st.composite
def lines(draw: st.DrawFn, currency: str, prefix: str) -> list[str]:
    told = []
    for n in range(draw(st.integers(0, 3))):
        references = [None, "NOTPROVIDED", f"R{draw(st.integers(0, 3))}", f"{prefix}-{n}"]
        entry = line(
            draw(amounts).partition(".")[0] if currency == "JPY" else draw(amounts),
            currency=currency,
            debit=draw(st.booleans()),
            reference=draw(st.sampled_from(references)),
            entry_reference=draw(st.sampled_from([None, None, "1", "ENTRY-1"])),
            booked=draw(dates),
            value=draw(dates),
            status=draw(st.sampled_from(["BOOK", "BOOK", "BOOK", "PDNG", "INFO"])),
            reversal=draw(st.sampled_from([False, False, True])),
            tag=draw(st.sampled_from([None, *EXPECTED])),
        )
        told += [entry] * draw(st.sampled_from([1, 1, 1, 2]))
    return told


@st.composite
def sections(draw: st.DrawFn, prefix: str) -> str:
    number, currency = draw(st.sampled_from([*ACCOUNTS, ("TWO", "EUR"), ("UNKNOWN", "AED"), ("CLOSED", "AED")]))
    copy = draw(st.sampled_from(["", "", "", "<CpyDplctInd>DUPL</CpyDplctInd>"]))
    named = draw(st.sampled_from([currency, currency, None]))
    return section(
        *draw(lines(currency, prefix)),
        number=number,
        currency=named,
        extra=copy,
        name=draw(st.sampled_from(["1", "2"])),
    )


@st.composite
def message(draw: st.DrawFn) -> bytes:
    message_id = f"M{draw(st.integers(0, 5))}"
    match draw(st.sampled_from(["json", "json", "054", "054", "052", "unreadable", "053"])):
        case "json":
            number, currency = draw(st.sampled_from([*ACCOUNTS, ("ONE", "USD"), ("UNKNOWN", "AED"), ("CLOSED", "AED")]))
            return note(
                message_id,
                draw(amounts),
                number=number,
                currency=currency,
                debit=draw(st.booleans()),
                reference=draw(st.sampled_from([None, "R0", "R1", "NOTPROVIDED"])),
                booked=draw(st.sampled_from([None, "2025-11-18", "2026-11-18"])),
                tag=draw(st.sampled_from([None, *EXPECTED])),
            )
        case "054":
            told = draw(st.lists(sections(message_id), min_size=1, max_size=3))
            return camt(message_id, *told, blank=draw(st.sampled_from(["", "\n"])))
        case "052":
            return camt(message_id, *draw(st.lists(sections(message_id), min_size=1, max_size=2)), kind="camt.052")
        case "053":
            return camt(message_id, draw(sections(message_id)), kind="camt.053")
        case _:
            return draw(
                st.sampled_from([b"", b"{", b"<a/>", b"\x00", b'{"message_id": 1}', note("X", "1e3", number="ONE")])
            )


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """What came before, and the batch; some of it comes twice."""
    before = draw(st.lists(message(), max_size=3))
    batch = draw(st.lists(message(), min_size=1, max_size=7))
    again = draw(st.lists(st.sampled_from([*before, *batch]), max_size=3))
    return before, draw(st.permutations([*batch, *again]))


async def stage(road: Road) -> None:
    for (number, currency), balance in ACCOUNTS.items():
        key = await road.account(
            number, currency, ledger=balance, bank=balance, of=f"Bank of {number}", inverts_reversals=number == "ONE"
        )
        await road.expect(key, "F-1", "4")
        await road.expect(key, "F-2", "100", holder="wallet")
        await road.hold(key, "P-HELD", "4")
        await road.hold(key, "P-SENT", "100", sent=True)
    closed = await road.account("CLOSED", ledger="1", bank="1")
    await accounts.close(road.tx, str(closed), "tests", NOW)


_DRAWN_NUMBER = re.compile(r"movement\.[0-9]+")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
DRAWN = {"id", "message_id"}


class Names:
    """Calls what the engine draws by what it stands for, so that two runs can be compared."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}

    def plain(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: self.plain(inner) for key, inner in value.items() if key not in ("kept_as", "id", "movement_id")
            }
        if isinstance(value, list):
            return [self.plain(inner) for inner in value]
        if isinstance(value, str | bytes) or value is None:
            if isinstance(value, str):
                value = _DRAWN_NUMBER.sub("movement", _UUID.sub(lambda m: self.of.get(m[0], "drawn"), value))
            return value
        return self.plain(str(value)) if type(value).__name__ == "UUID" else value


async def everything(road: Road, *, but: Sequence[str] = ()) -> dict[str, list[str]]:
    """All tables as sets of rows, without the ids that are drawn; what they name instead."""
    names = Names()
    for row in await road.rows("SELECT id, account_number || ' ' || currency AS name FROM emi_accounts"):
        names.of[str(row["id"])] = row["name"]
    digests = {row["id"]: row["digest"] for row in await road.rows("SELECT id, digest FROM bank_messages")}
    found: dict[str, list[str]] = {}
    for table in TABLES:
        if table in but:
            continue
        rows = []
        for row in await road.rows(f"SELECT * FROM {table}"):
            said = {key: value for key, value in row.items() if key not in ("id", "movement_id")}
            if said.get("message_id") is not None:
                said["message_id"] = digests[said["message_id"]]
            if table == "outbox":
                said["payload"] = json.loads(said["payload"])
            rows.append(repr(sorted(names.plain(said).items())))
        found[table] = sorted(rows)
    return found


def said_of(receipts: Sequence[Receipt]) -> list[Any]:
    """Receipts without what is drawn; `kept_as` by the place of its first mention."""
    places: dict[int, int] = {}
    said: list[Any] = []
    for receipt in receipts:
        place = places.setdefault(receipt.kept_as, len(places))
        what = receipt.refusal if isinstance(receipt, Rejected) else [
            (j.account_number, j.currency, j.bank_balance, j.difference, j.threshold_level, j.circuit_breaker,
             j.entries_recorded)
            for j in receipt.judgements
        ]  # fmt: skip
        said.append((type(receipt).__name__, place, receipt.message_id, what))
    return said


@pytest.mark.parametrize("part", [1, 250])
@given(told=stories())
@modest
def test_a_batch_leaves_the_same_database_and_answers_as_its_messages_one_by_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, part: int, told: tuple[list[bytes], list[bytes]]
) -> None:
    """Also where it is written in parts, the first while the rest is still to be decided."""
    monkeypatch.setattr(notification, "PART", part)
    before, batch = told

    async def together(road: Road) -> tuple[dict[str, list[str]], list[Any]]:
        await stage(road)
        await road.take(*before)
        receipts = await road.take(*batch)
        return await everything(road), said_of(receipts)

    async def one_by_one(road: Road) -> tuple[dict[str, list[str]], list[Any]]:
        await stage(road)
        await road.take(*before)
        receipts = [await road.take_one(message) for message in batch]
        return await everything(road), said_of(receipts)

    batched, single = bench.void(together), bench.void(one_by_one)
    assert batched[1] == single[1]
    for found in (batched[0], single[0]):
        # A rejected message that comes again is tried again; within one batch that would change nothing.
        found["bank_messages"] = sorted(re.sub(r"\('attempts', \d+\), ", "", row) for row in found["bank_messages"])
        for table in ("outbox", "audit_log"):
            rejected = {row for row in found[table] if "rejected" in row}
            found[table] = sorted([*(row for row in found[table] if row not in rejected), *rejected])
    for table in TABLES:
        assert batched[0][table] == single[0][table], table


# An account of the truth that shares no line with the engine ------------------------------------------


def movements(raw: bytes) -> list[tuple[str, str, str, Decimal]]:
    """(tag, number, currency, signed amount) of each booked entry of a message that is no copy."""
    if raw.startswith(b"{"):
        said = json.loads(raw)
        sign = 1 if said["credit_debit_indicator"] == "CRDT" else -1
        return [(said["end_to_end_id"], said["account_id"], said["currency"], sign * Decimal(said["amount"]))]
    found = []
    root = ElementTree.fromstring(re.sub(rb' xmlns="[^"]*"', b"", raw))
    for part in [*root.iter("Ntfctn"), *root.iter("Rpt")]:
        if part.find("CpyDplctInd") is not None:
            continue
        number = part.findtext("Acct/Id/Othr/Id", "")
        for entry in part.iter("Ntry"):
            amount = entry.find("Amt")
            assert amount is not None
            if entry.findtext("Sts/Cd") != "BOOK":
                continue
            sign = 1 if entry.findtext("CdtDbtInd") == "CRDT" else -1
            tag = entry.findtext("NtryDtls/TxDtls/Refs/EndToEndId", "")
            found.append((tag, number, amount.get("Ccy", ""), sign * Decimal(amount.text or "")))
    return found


@st.composite
def tellings(draw: st.DrawFn) -> list[bytes]:
    """Movements of two accounts, told by notifications and reports in whatever order, again, and as copies.

    An end-to-end id tags each movement; the engine does not tell movements apart by it.
    """
    bare_notes, bare_reports = draw(st.booleans()), draw(st.booleans())
    day = "2025-11-18"
    truth: dict[str, list[dict[str, Any]]] = {"ONE": [], "TWO": []}
    messages: list[bytes] = []
    for n in range(draw(st.integers(1, 8))):
        number = draw(st.sampled_from(sorted(truth)))
        movement: dict[str, Any] = {
            "amount": draw(st.sampled_from(["1.00", "1.00", "7.50"])), "debit": draw(st.booleans()), "tag": f"E{n}",
            "booked": day,
        }  # fmt: skip
        truth[number].append(movement)
        reference: dict[str, Any] = {} if bare_notes else {"reference": f"REF-{n}"}
        if draw(st.booleans()):
            told = note(f"N{n}", number=number, **movement, **reference)
        else:
            told = camt(f"N{n}", section(line(**movement, **reference), number=number))
        messages.append(told)
        if draw(st.integers(0, 3)) == 0:
            messages.append(
                camt(
                    f"C{n}",
                    section(line(**movement, **reference), number=number, extra="<CpyDplctInd>COPY</CpyDplctInd>"),
                )
            )
        if draw(st.integers(0, 2)) == 0:
            stated = draw(st.permutations(truth[number]))
            named: list[dict[str, Any]] = [{} if bare_reports else {"reference": "REF-" + m["tag"][1:]} for m in stated]
            messages.append(
                report(f"R{n}", *(line(**m, **r) for m, r in zip(stated, named, strict=True)), number=number)
            )
    again = [m + b"\n" if draw(st.booleans()) else m for m in draw(st.lists(st.sampled_from(messages), max_size=4))]
    unsure = [note("X", number="UNKNOWN"), b"{", note("Y", "1.001", number="ONE", tag="Y")]
    return draw(st.permutations([*messages, *again, *draw(st.lists(st.sampled_from(unsure), max_size=2))]))


async def balances(road: Road) -> dict[tuple[str, str], Decimal]:
    rows = await road.rows("SELECT account_number, currency, bank_reported_balance FROM emi_accounts")
    return {(r["account_number"], r["currency"]): r["bank_reported_balance"] for r in rows}


@given(st.data(), tellings())
@settings(modest, max_examples=120)
def test_every_balance_is_what_the_raw_messages_say_in_whatever_order_and_batches_they_came(
    bench: Bench, data: st.DataObject, messages: list[bytes]
) -> None:
    async def story(road: Road) -> None:
        for (number, currency), balance in ACCOUNTS.items():
            await road.account(number, currency, ledger=balance, bank=balance)
        rest = list(messages)
        while rest:
            size = data.draw(st.integers(1, len(rest)))
            await road.take(*rest[:size])
            rest = rest[size:]
        kept = await road.rows("SELECT raw FROM bank_messages WHERE state = 'RECORDED'")
        tagged = {movement for row in kept for movement in movements(row["raw"])}
        assert len({tag for tag, *_ in tagged}) == len(tagged)
        expected = dict(BASE)
        for _, number, currency, change in tagged:
            expected[number, currency] += change
        assert await balances(road) == expected
        drift = await road.rows(
            """SELECT a.id FROM emi_accounts a JOIN account_openings o ON o.account_id = a.id
            WHERE bank_reported_balance <> o.balance + coalesce(
                (SELECT sum(position_change) FROM bank_entries WHERE account_id = a.id), 0)"""
        )
        assert drift == []
        twice = await road.rows("SELECT event_id FROM outbox GROUP BY event_id HAVING count(*) > 1")
        assert [row for row in twice if not row["event_id"].endswith(".rejected")] == []

    bench.void(story)


def test_a_large_batch_of_everything_is_the_same_as_its_parts(bench: Bench) -> None:
    messages = [
        note(f"M{n}", f"{n % 7 + 1}.00", number=("ONE", "TWO")[n % 2], debit=n % 3 == 0, reference=f"R{n % 200}")
        for n in range(600)
    ]

    async def story(road: Road, size: int) -> dict[tuple[str, str], Decimal]:
        await stage(road)
        for at in range(0, len(messages), size):
            receipts = await road.take(*messages[at : at + size])
            assert all(isinstance(r, Receipt) for r in receipts)
        return await balances(road)

    async def whole(road: Road) -> dict[tuple[str, str], Decimal]:
        return await story(road, 600)

    async def parts(road: Road) -> dict[tuple[str, str], Decimal]:
        return await story(road, 37)

    assert bench.void(whole) == bench.void(parts)


@pytest.mark.parametrize("batch", [[], [b"{", b"{", b"{"]])
def test_a_batch_of_nothing_or_of_the_same_nonsense_is_no_trouble(bench: Bench, batch: list[bytes]) -> None:
    async def story(road: Road) -> None:
        receipts = await road.take(*batch)
        assert len(receipts) == len(batch)
        assert not any(isinstance(r, Recorded) for r in receipts)
        assert len({r.kept_as for r in receipts}) == min(1, len(batch))

    bench.void(story)
