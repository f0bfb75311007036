"""A day is archived as the database has it: whole, once, and again only where something was learnt of it since."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import psycopg
import pytest

from archive.bundles import KEY, STRANGER, check, parts_of
from road.bench import NOW, NUMBER, came, camt, line, note, road_on, section
from road.statement_writer import line as stated_line
from road.statement_writer import message, statement
from token_engine.archive.store import Folder, store_at
from token_engine.cli.archive_words import chain
from token_engine.domain.bundle import BundleError
from token_engine.domain.merkle import leaf_hash
from token_engine.domain.note import Signer
from token_engine.domain.refusal import RefusedError
from token_engine.storage import parts
from token_engine.storage.archive import Within
from token_engine.storage.database import Database, Transaction
from token_engine.tiers import end_of_day, match_acts
from token_engine.tiers.archive import Archived, Wanted, archive_day
from token_engine.tiers.archive_reports import reports_of_day
from token_engine.tiers.match_acts import NewMatch

DAY = NOW.date()
LATER = datetime(2025, 11, 25, 9, 0, tzinfo=UTC)
OTHER = "DE89370400440532013000"
STATEMENT = message(
    statement(
        stated_line("100", reference="R1"), stated_line("5", reference="R2"), opening="1000000", closing="1000105"
    )
)


class Desk:
    """Archives days of one database into one folder."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.reports: list[tuple[str, bytes]] | None = [("report.csv", b"a,b\n")]
        """None: those that the engine makes."""

    def archive(
        self, day: date = DAY, *accounts: str, to: str | None = None, now: datetime = LATER, key: Any = KEY
    ) -> Archived:
        async def reports(tx: Transaction, of: Within) -> Sequence[tuple[str, bytes]]:
            return await reports_of_day(tx, of, now=now) if self.reports is None else self.reports

        async def work() -> Archived:
            database = Database(self.url, pool_size=2)
            await database.open()
            try:
                store = store_at(to) if to else Folder(self.folder)
                wanted = Wanted(day, accounts, "ann")
                return await archive_day(database, wanted, store, key, reports, now, lambda _what, _done: None)
            finally:
                await database.close()

        return asyncio.run(work())

    def files(self, done: Archived) -> dict[str, bytes]:
        """What is in the bundle, which is sound."""
        path = self.folder / done.name
        verdict = check(path)
        assert verdict.wrong == []
        assert verdict.sha256 == done.sha256
        return {part.name: part.content for part in parts_of(path)}

    def tell(self, *raw: bytes, closing: bytes | None = None, account: bool = False, now: datetime = NOW) -> None:
        """What the engine is told: messages of Tier 1, or a statement."""

        async def work() -> None:
            async with road_on(self.url) as road:
                if account:
                    await road.account()
                if raw:
                    async with road.connection.transaction():
                        await road.take(*raw)
                if closing:
                    async with road.connection.transaction():
                        await end_of_day.record(road.tx, [came(closing, "file")], now)

        asyncio.run(work())

    def sql(self, statement: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.url) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def desk(migrated: str, tmp_path: Path) -> Desk:
    desk = Desk(migrated, tmp_path / "archive")
    desk.tell(note("N-1", "100", reference="R1", booked="2025-11-18"), b"nonsense", account=True)
    return desk


def lines(content: bytes) -> list[Any]:
    return [json.loads(one) for one in content.splitlines()]


def test_everything_of_the_day_is_in_its_bundle(desk: Desk) -> None:
    desk.tell(closing=STATEMENT)
    files = desk.files(done := desk.archive())
    messages = lines(files["messages.jsonl"])
    assert [m["state"] for m in messages] == ["RECORDED", "REJECTED", "RECORDED"]
    assert files[messages[1]["file"]] == b"nonsense"
    assert files[messages[2]["file"]] == STATEMENT
    for told in messages:
        assert sha256(files[told["file"]]).hexdigest() == told["sha256"]
    [closed] = lines(files["statements.jsonl"])
    assert (closed["statement_date"], closed["state"]) == ("2025-11-18", "ACCEPTED")
    stated = lines(files["statement-lines.jsonl"])
    assert [(one["line"], one["amount"]) for one in stated] == [(1, 100), (2, 5)]
    assert b"100.00000000" in files["statement-lines.jsonl"], "exact decimals, as PostgreSQL keeps them"
    assert {e["id"] for e in lines(files["entries.jsonl"])} == {one["entry_id"] for one in stated}
    [snapshot] = lines(files["snapshots.jsonl"])
    assert snapshot["bank_reported_balance"] == 1000105
    assert files["reports/report.csv"] == b"a,b\n"
    assert done.manifest.counts["messages"] == 3
    logged = desk.sql("SELECT id FROM audit_log WHERE at < '2025-11-19Z' ORDER BY id")
    assert [(row["id"],) for row in lines(files["audit/log.jsonl"])] == logged
    assert len(logged) > 1


def test_matches_come_with_both_sides_and_who_made_them(desk: Desk) -> None:
    desk.tell(closing=STATEMENT)
    [(movement,)] = desk.sql(
        "INSERT INTO ledger_movements (account_id, kind, amount, leaves, enters, to_holder, reason, actor, at)"
        " SELECT id, 'mint', 5, 'issued', 'holder', 'h', 'r', 'tests', %s FROM emi_accounts RETURNING id", NOW,
    )  # fmt: skip
    [(entry,)] = desk.sql("SELECT id FROM bank_entries WHERE amount = 5")

    async def by_hand() -> None:
        wanted = NewMatch(entry_ids=[entry], movement_ids=[movement], actor="ann", reason="seen both")
        async with road_on(desk.url) as road, road.connection.transaction():
            await match_acts.make(road.tx, wanted, NOW)

    asyncio.run(by_hand())
    files = desk.files(desk.archive())
    [match] = lines(files["matches.jsonl"])
    assert (match["entry_id"], match["movement_id"], match["pass"]) == (entry, movement, "manual")
    assert [m["id"] for m in lines(files["movements.jsonl"])] == [movement]
    [told] = lines(files["match-events.jsonl"])
    assert (told["match_id"], told["actor"], told["reason"]) == (match["match_id"], "ann", "seen both")
    waiting = {i["amount"]: i["closed_by"] for i in lines(files["open-items.jsonl"])}
    assert waiting[100] is None
    assert waiting[5] == f"match {match['match_id']}"


def test_the_same_day_again_is_the_same_bundle(desk: Desk, tmp_path: Path) -> None:
    desk.tell(closing=STATEMENT)
    first = desk.archive()
    raw = (desk.folder / first.name).read_bytes()
    desk.archive(DAY + timedelta(days=1))
    again = desk.archive(now=LATER + timedelta(days=30))
    assert (first.again, again.again, first.sha256) == (False, True, again.sha256)
    elsewhere = desk.archive(to=str(tmp_path / "elsewhere"))
    assert elsewhere.again
    assert (tmp_path / "elsewhere" / first.name).read_bytes() == raw
    assert sorted(os.listdir(desk.folder)) == ["token-engine-2025-11-18.tar", "token-engine-2025-11-19.tar"]
    assert desk.sql("SELECT count(*) FROM archive_bundles") == [(2,)]
    assert desk.sql("SELECT count(*) FROM audit_log WHERE action = 'day_archived'") == [(2,)]
    assert desk.sql("SELECT count(*) FROM outbox WHERE subject = 'reconciliation.archive.complete'") == [(2,)]


def test_its_reports_are_the_same_at_any_later_hour(desk: Desk) -> None:
    desk.reports = None
    desk.tell(closing=STATEMENT)
    first = desk.archive()
    for form in ("json", "csv", "pdf", "xlsx"):
        assert f"reports/day.2025-11-18.firm.{form}" in desk.files(first)
    for hours in (1, 24, 1000):
        assert desk.archive(now=LATER + timedelta(hours=hours)).sha256 == first.sha256


def test_a_newer_engine_makes_no_edition_for_its_own_sake(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    first = desk.archive()
    monkeypatch.setattr("token_engine.tiers.archive.version", lambda _: "99.0")
    assert desk.archive().sha256 == first.sha256
    assert desk.archive(DAY + timedelta(days=1)).manifest.engine == "token-engine 99.0"


def test_what_is_learnt_later_makes_another_edition(desk: Desk) -> None:
    first = desk.archive()
    desk.archive(DAY + timedelta(days=1))
    desk.tell(closing=STATEMENT)
    late = desk.archive()
    assert (late.again, late.manifest.edition, late.manifest.sequence) == (False, 2, 3)
    assert late.name == "token-engine-2025-11-18.2.tar"
    assert late.manifest.replaces is not None
    assert late.manifest.replaces.manifest == first.sha256
    assert late.manifest.previous is not None
    assert late.manifest.previous.day == DAY + timedelta(days=1)
    assert late.manifest.audit == first.manifest.audit, "what was done on the day is what it was"
    verdicts = [check(desk.folder / name) for name in sorted(os.listdir(desk.folder))]
    assert [v.wrong for v in verdicts] == [[], [], []]
    assert chain(verdicts) == ([], [])
    assert desk.archive().again


def test_days_are_a_chain(desk: Desk) -> None:
    for days in range(3):
        desk.archive(DAY + timedelta(days=days))
    verdicts = [check(desk.folder / name) for name in sorted(os.listdir(desk.folder))]
    assert chain(verdicts) == ([], [])
    wrong, gaps = chain([verdicts[0], verdicts[2]])
    assert (wrong, len(gaps)) == ([], 1)


def test_a_day_that_was_made_twice_is_no_chain(desk: Desk, tmp_path: Path, migrated: str) -> None:
    """Somebody with the key makes another first bundle; what followed the true one does not follow it."""
    first = desk.archive()
    second = desk.archive(DAY + timedelta(days=1))
    forger = Desk(migrated, tmp_path / "forged")
    forger.sql("ALTER TABLE archive_bundles DISABLE TRIGGER USER")
    forger.sql("DELETE FROM archive_bundles")
    forger.reports = [("report.csv", b"forged\n")]
    forged = forger.archive()
    true, then, false = (
        check(folder / name)
        for folder, name in [(desk.folder, first.name), (desk.folder, second.name), (forger.folder, forged.name)]
    )
    assert "does not follow" in chain([false, then])[0][0]
    assert "two bundles of one number" in chain([true, false])[0][0]


def test_a_log_grows_from_day_to_day_as_one_tree(desk: Desk) -> None:
    first = desk.archive().manifest.audit
    second = desk.archive(LATER.date() - timedelta(days=1)).manifest.audit
    # Archiving is itself an act of LATER's day.
    third = desk.archive(LATER.date(), now=LATER + timedelta(days=1)).manifest.audit
    assert first.first == 0
    assert first.previous_checkpoint is None
    assert (second.first, second.size) == (first.size, first.size)
    assert (third.first, third.size) == (first.size, first.size + 2)
    assert third.previous_checkpoint is not None
    days = [row[0] for row in desk.sql("SELECT day FROM archive_checkpoints ORDER BY day")]
    assert days == [DAY + timedelta(days=n) for n in range(len(days))], "a checkpoint for each day, none left out"


def test_a_row_that_was_committed_late_is_in_the_next_day(desk: Desk) -> None:
    """It has a lower id than what was sealed, and yet no checkpoint that was signed becomes untrue."""
    with psycopg.connect(desk.url) as slow:
        slow.execute("INSERT INTO audit_log (at, actor, action, details) VALUES (%s, 'slow', 'late', '{}')", [NOW])
        desk.sql("INSERT INTO audit_log (at, actor, action, details) VALUES (%s, 'quick', 'early', '{}')", NOW)
        first = desk.archive()
        slow.commit()
    assert b"slow" not in desk.files(first)["audit/log.jsonl"]
    second = desk.archive(DAY + timedelta(days=1))
    [row] = lines(desk.files(second)["audit/log.jsonl"])
    assert row["actor"] == "slow"
    assert desk.archive().again


def test_a_day_before_the_log_began(desk: Desk) -> None:
    desk.archive()
    before = desk.archive(date(2025, 11, 1))
    assert (before.manifest.audit.first, before.manifest.audit.size) == (0, 0)
    assert desk.files(before)["audit/log.jsonl"] == b""
    assert desk.archive().again


def test_lines_of_the_log_hold_whatever_people_wrote(desk: Desk) -> None:
    said = {"reason": 'a "b" \\ c\n\u2028é', "amount": 0.1, "large": 12345678901234567890123, "list": [None, True]}
    desk.sql(
        "INSERT INTO audit_log (at, actor, action, details) VALUES (%s, %s, 'act', %s)",
        NOW,
        "zoë\u2028",
        json.dumps(said),
    )
    files = desk.files(desk.archive())
    written = files["audit/log.jsonl"].splitlines(keepends=True)[-1]
    assert json.loads(written)["details"] == said
    assert files["audit/leaves.txt"].split()[-1].decode() == leaf_hash(written.rstrip(b"\n")).hex()


@pytest.mark.parametrize("zone", ["Asia/Dubai", "America/New_York"])
def test_the_zone_of_the_database_plays_no_part(desk: Desk, zone: str) -> None:
    first = desk.archive()
    name = psycopg.conninfo.conninfo_to_dict(desk.url)["dbname"]
    desk.sql(f"ALTER DATABASE \"{name}\" SET timezone TO '{zone}'")
    assert desk.archive().again
    assert desk.archive().sha256 == first.sha256


def test_an_audit_row_that_was_altered_is_found(desk: Desk) -> None:
    desk.archive()
    desk.sql("ALTER TABLE audit_log DISABLE TRIGGER USER")
    [(number,)] = desk.sql(
        "UPDATE audit_log SET actor = 'nobody' WHERE id = (SELECT min(id) FROM audit_log) RETURNING id"
    )
    with pytest.raises(BundleError, match=f"row {number} of the audit log is not what was sealed"):
        desk.archive()
    assert sorted(os.listdir(desk.folder)) == ["token-engine-2025-11-18.tar"]


def test_an_audit_row_that_was_deleted_is_found(desk: Desk) -> None:
    desk.archive()
    desk.sql("ALTER TABLE audit_log DISABLE TRIGGER USER")
    desk.sql("DELETE FROM audit_log WHERE id = (SELECT min(id) FROM audit_log)")
    with pytest.raises(BundleError, match="audit log is not what was sealed"):
        desk.archive()


def test_a_message_that_was_altered_is_found(desk: Desk) -> None:
    desk.sql("ALTER TABLE bank_messages DISABLE TRIGGER USER")
    desk.sql("UPDATE bank_messages SET raw = 'another' WHERE id = 1")
    with pytest.raises(BundleError, match="message 1 is not what came"):
        desk.archive()
    assert os.listdir(desk.folder) == []
    assert desk.sql("SELECT count(*) FROM archive_bundles") == [(0,)]


def test_a_message_refused_for_its_size_is_there_as_far_as_it_was_kept(desk: Desk) -> None:
    desk.sql(
        "INSERT INTO bank_messages (digest, received_at, door, source, raw, raw_size, state, refusal_code,"
        " refusal_message, last_attempt_at)"
        " VALUES (%s, %s, 'HTTP', 'c', 'begin', 900, 'REJECTED', 'too_large', 'm', %s)",
        sha256(b"whole").digest(), NOW, NOW,
    )  # fmt: skip
    files = desk.files(desk.archive())
    told = lines(files["messages.jsonl"])[-1]
    assert (files[told["file"]], told["size"], told["refusal_code"]) == (b"begin", 900, "too_large")


def test_checkpoints_leaves_and_bundles_stay(desk: Desk) -> None:
    desk.archive()
    for table in ("audit_leaves", "archive_checkpoints", "archive_bundles"):
        column = {"audit_leaves": "hash"}.get(table, "at")
        for change in (f"DELETE FROM {table}", f"TRUNCATE {table}", f"UPDATE {table} SET {column} = {column}"):
            with pytest.raises(psycopg.errors.RestrictViolation):
                desk.sql(change)


def test_a_message_in_parts_is_archived_as_it_came(desk: Desk, tmp_path: Path) -> None:
    raw = b"<Document>" + os.urandom(3_000_000).hex().encode() + b"</Document>"
    (tmp_path / "raw").write_bytes(raw)

    async def keep() -> None:
        async with road_on(desk.url) as road, road.connection.transaction():
            row = await road.row(
                "INSERT INTO bank_messages (digest, received_at, door, source, raw, raw_size, state, answer,"
                " last_attempt_at) VALUES (%s, %s, 'CLI', 'f', '', %s, 'RECORDED', '{}', %s) RETURNING id",
                sha256(raw).digest(), NOW, len(raw), NOW,
            )  # fmt: skip
            with (tmp_path / "raw").open("rb") as source, TemporaryFile() as squeezed:
                parts.squeeze(source, squeezed)
                await parts.keep(road.tx, row["id"], squeezed)

    asyncio.run(keep())
    files = desk.files(desk.archive())
    told = lines(files["messages.jsonl"])[-1]
    assert files[told["file"]] == raw
    desk.sql("ALTER TABLE bank_message_parts DISABLE TRIGGER USER")
    desk.sql("DELETE FROM bank_message_parts WHERE part = (SELECT max(part) FROM bank_message_parts)")
    with pytest.raises(BundleError, match=f"message {told['id']} is not what came"):
        desk.archive()


def test_one_account_and_what_is_its_own(desk: Desk) -> None:
    async def others() -> None:
        async with road_on(desk.url) as road:
            await road.account(OTHER, "EUR")
            await road.take(
                camt("C-1", section(line("7", currency="EUR", reference="X"), number=OTHER, currency="EUR"))
            )

    asyncio.run(others())
    desk.tell(closing=STATEMENT)
    done = desk.archive(DAY, NUMBER)
    assert done.name == f"token-engine-2025-11-18-{NUMBER}-AED.tar"
    files = desk.files(done)
    everything = b"".join(files.values())
    assert OTHER.encode() not in everything
    assert b"C-1" not in everything
    assert [files[m["file"]][:1] for m in lines(files["messages.jsonl"])] == [b"{", b"<"]
    assert {row["account_id"] for row in lines(files["audit/log.jsonl"])} == {
        str(desk.sql("SELECT id FROM emi_accounts WHERE currency = 'AED'")[0][0])
    }
    both = desk.archive(DAY, OTHER, NUMBER)
    assert desk.archive(DAY, NUMBER, OTHER).again
    assert both.manifest.sequence == 1, "a chain of its own"
    assert check(desk.folder / both.name).wrong == []


def test_what_is_refused(desk: Desk) -> None:
    for day, accounts, now, code in [
        (DAY, (), NOW, "day_not_over"),
        (DAY, (), datetime(2025, 11, 18, 23, 59, 59, tzinfo=UTC), "day_not_over"),
        (DAY, ("AE00",), LATER, "unknown_account"),
    ]:
        with pytest.raises(RefusedError) as refused:
            desk.archive(day, *accounts, now=now)
        assert refused.value.refusal.code == code
    assert desk.archive(now=datetime(2025, 11, 19, tzinfo=UTC)).manifest.edition == 1


def test_a_log_goes_on_under_its_name(desk: Desk) -> None:
    """A key may be changed; the name of the log may not."""
    desk.archive()
    with pytest.raises(BundleError, match="sealed as example"):
        desk.archive(DAY + timedelta(days=1), key=Signer("other", bytes(32)))
    changed = desk.archive(DAY + timedelta(days=1), key=STRANGER)
    path = desk.folder / changed.name
    assert check(path, KEY, STRANGER).wrong == []
    assert KEY.verifier.key_id in check(path, STRANGER).wrong[0]


def test_a_place_that_has_another_bundle_keeps_it(desk: Desk) -> None:
    desk.folder.mkdir()
    (desk.folder / "token-engine-2025-11-18.tar").write_bytes(b"another")
    with pytest.raises(BundleError, match="is there already, and is another"):
        desk.archive()
    assert desk.sql("SELECT count(*) FROM archive_bundles") == [(0,)]
    assert (desk.folder / "token-engine-2025-11-18.tar").read_bytes() == b"another"


def test_one_that_was_put_away_and_not_remembered_is_found_again(desk: Desk) -> None:
    """The engine died between the two."""
    desk.sql("CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'died'; END $$")
    desk.sql("CREATE TRIGGER die BEFORE INSERT ON archive_bundles EXECUTE FUNCTION die()")
    with pytest.raises(psycopg.errors.RaiseException):
        desk.archive()
    before = (desk.folder / "token-engine-2025-11-18.tar").read_bytes()
    desk.sql("DROP TRIGGER die ON archive_bundles")
    done = desk.archive()
    assert (done.manifest.edition, done.again) == (1, False)
    assert (desk.folder / done.name).read_bytes() == before
    assert os.listdir(desk.folder) == [done.name]


def test_two_engines_at_once_make_one_bundle(desk: Desk) -> None:
    async def both() -> list[Archived]:
        return list(await asyncio.gather(*(asyncio.to_thread(desk.archive) for _ in range(3))))

    done = asyncio.run(both())
    assert sorted(d.again for d in done) == [False, True, True]
    assert len({d.sha256 for d in done}) == 1
    assert desk.sql("SELECT count(*) FROM audit_leaves") == desk.sql(
        "SELECT count(*) FROM audit_log WHERE action <> 'day_archived'"
    )
