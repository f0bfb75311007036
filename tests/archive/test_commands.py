"""`token-engine archive` and `verify` as people and programs run them: what they print, which code they exit with."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import psycopg
import pytest

from archive.bundles import DAY, KEY, make, parts_of
from archive.conftest import S3, SECRET
from engine import run_command
from token_engine.archive.key import new_key
from token_engine.storage.migrate import migrate

NAME = "token-engine-2025-11-18.tar"
ACCOUNT = """
INSERT INTO banks (id, name) VALUES ('00000000-0000-4000-8000-00000000000b', 'Bank');
INSERT INTO emi_accounts (id, bank_id, account_number, currency, created_at)
VALUES ('00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000b', 'AE07', 'AED', '2025-11-01Z');
"""


class Office:
    """A database with an entry in its log, and a folder with a key."""

    def __init__(self, url: str, data: Path) -> None:
        self.url, self.data = url, data
        self.public = new_key(data / "archive.key", "example.com/engine").text()

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
        common = ("--data", self.data, "--database-url", self.url, "--actor", "ann")
        return run_command("archive", *arguments, *common, env=env)

    def verify(self, *bundles: Path, more: tuple[str, ...] = ()) -> subprocess.CompletedProcess[bytes]:
        """With the public key and nothing else: not the database, not the folder, from somewhere else."""
        return run_command("verify", *bundles, "--public-key", self.public, *more, cwd=Path("/"))


@pytest.fixture
def office(database: str, tmp_path: Path) -> Office:
    migrate(database)
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO audit_log (at, actor, action, details) VALUES ('2025-11-18 12:00Z', 'ann', 'act', '{}')"
        )
    return Office(database, tmp_path / "data")


def test_a_day_is_archived_and_verified_elsewhere(office: Office) -> None:
    done = office.run("2025-11-18")
    assert done.returncode == 0, done.stderr
    bundle = office.data / "archive" / NAME
    assert done.stdout.decode().splitlines()[0] == str(bundle)
    verified = office.verify(bundle)
    assert verified.returncode == 0, verified.stdout
    told = verified.stdout.decode()
    assert "day 2025-11-18, all accounts, made by token-engine" in told
    assert "signed by example.com/engine, key " in told
    assert "0 messages" in told
    assert told.splitlines()[-1] == "  verified"
    again = office.run("2025-11-18")
    assert (again.returncode, again.stdout.decode().splitlines()[0]) == (0, f"{bundle}: as it was")


def test_the_reports_of_the_day_are_in_it_in_every_form(office: Office) -> None:
    office.run("2025-11-18", "--firm", "Example Ltd")
    bundle = office.data / "archive" / NAME
    files = {part.name: part.content for part in parts_of(bundle)}
    for form, begins in {"json": b"{", "pdf": b"%PDF", "xlsx": b"PK", "csv": b""}.items():
        assert files[f"reports/day.2025-11-18.firm.{form}"].startswith(begins)
    dataset = json.loads(files["reports/day.2025-11-18.firm.json"])
    assert dataset["report"] == "safeguarding"
    with psycopg.connect(office.url) as connection:
        connection.execute(ACCOUNT.encode())
    one = office.run("2025-11-18", "--account", "AE07", "--json")
    assert json.loads(one.stdout)["counts"]["reports"] == 4
    again = office.run("2025-11-18", "--account", "AE07", "--json")
    assert json.loads(again.stdout)["again"] is True, "the hour of its making is nowhere in it"


def test_for_programs(office: Office) -> None:
    [line] = office.run("2025-11-18", "--json").stdout.splitlines()
    made = json.loads(line)
    assert (made["bundle"], made["edition"], made["again"], made["counts"]["audit-entries"]) == (NAME, 1, False, 1)
    [line] = office.verify(office.data / "archive" / NAME, more=("--json",)).stdout.splitlines()
    found = json.loads(line)
    assert found["verified"] is True
    assert found["manifest_sha256"] == made["manifest_sha256"]
    assert found["signed_by"] == office.public


def test_what_was_altered_is_said_by_name(office: Office) -> None:
    office.run("2025-11-18")
    bundle = office.data / "archive" / NAME
    bundle.write_bytes(bundle.read_bytes().replace(b'"ann"', b'"bob"'))
    done = office.verify(bundle)
    assert done.returncode == 1
    lines = done.stdout.decode().splitlines()
    assert lines[-2:] == [
        "  WRONG: audit/log.jsonl is altered: its content is not what was signed",
        "  NOT VERIFIED",
    ]


def test_several_are_held_together(office: Office, tmp_path: Path) -> None:
    for day in ("2025-11-18", "2025-11-19", "2025-11-20"):
        office.run(day)
    bundles = sorted((office.data / "archive").iterdir())
    together = office.verify(*bundles)
    assert (together.returncode, together.stderr) == (0, b"")
    gap = office.verify(bundles[0], bundles[2])
    assert gap.returncode == 0
    assert b"1 bundles were made that were not given" in gap.stderr
    # Signed by a key that is believed, and never made by this engine.
    forged = make(tmp_path, sequence=2)
    mixed = run_command(
        "verify", bundles[0], forged, "--public-key", office.public, "--public-key", KEY.verifier.text()
    )
    assert mixed.returncode == 1
    assert b"does not follow" in mixed.stderr


def test_into_a_bucket_and_no_secret_in_sight(office: Office, s3_server: S3) -> None:
    done = office.run("2025-11-18", "--to", "s3://records/cli", env=s3_server.environment)
    assert done.returncode == 0, done.stderr
    assert office.verify(s3_server.folder / "records" / "cli" / NAME).returncode == 0
    wrong = s3_server.environment | {"AWS_SECRET_ACCESS_KEY": "another-secret"}
    refused = office.run("2025-11-18", "--to", "s3://records/cli", env=wrong)
    assert refused.returncode == 1
    [line] = refused.stderr.decode().splitlines()
    assert line.startswith("s3://records/cli: ")
    private = (office.data / "archive.key").read_text().strip().split("+", 4)[4]
    for said in (SECRET, "another-secret", private):
        assert said.encode() not in done.stdout + done.stderr + refused.stdout + refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("2999-01-01",), 1, "day_not_over"),
        (("2025-11-18", "--account", "AE00"), 1, "unknown_account"),
        (("2025-11-18", "--actor", "engine"), 1, "invalid_actor"),
        (("2025-11-18", "--key-file", "/nowhere/key"), 1, "there is no key /nowhere/key"),
        (("2025-11-18", "--to", "s3://"), 1, "s3://bucket/prefix"),
        (("yesterday",), 2, "yesterday"),
    ],
)
def test_what_is_refused(office: Office, arguments: tuple[str, ...], code: int, why: str) -> None:
    done = run_command("archive", "--actor", "ann", "--data", office.data, "--database-url", office.url, *arguments)
    assert (done.returncode, done.stdout) == (code, b"")
    assert why in done.stderr.decode()
    assert not (office.data / "archive").exists()


def test_what_cannot_be_verified(tmp_path: Path) -> None:
    bundle = make(tmp_path)
    assert bundle.name == f"token-engine-{DAY}.tar"
    assert run_command("verify", bundle, "--public-key", KEY.verifier.text()).returncode == 0
    none = run_command("verify", tmp_path / "none.tar", "--public-key", KEY.verifier.text())
    assert (none.returncode, b"No such file" in none.stderr) == (2, True)
    unreadable = run_command("verify", bundle, "--public-key", "nonsense")
    assert (unreadable.returncode, b"no public key" in unreadable.stderr) == (2, True)
    keyless = run_command("verify", bundle)
    assert (keyless.returncode, b"--public-key" in keyless.stderr) == (2, True)
