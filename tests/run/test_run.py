"""`token-engine run` as a newcomer and an operator see it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import nats
import psutil
import pytest

from engine import COMMAND, READY, V1, Engine, environment, notification, run_command, wait_for
from token_engine.servers import EmbeddedNats
from token_engine.servers import port as ports

STARTED = """INFO Starting Token Engine on port {port}
INFO Initializing 3-tier reconciliation system...
INFO ✓ Tier 1 - Near Real-Time: CAMT.054 consumer active
INFO ✓ Tier 2 - Intradey: 30-minute reconciliation loop started
INFO ✓ Tier 3 - EOD: CAMT.053 processing ready
INFO ========================================
INFO Token Engine with 1:1 Backing Guarantee
INFO All 3 reconciliation tiers operational
INFO ========================================
"""


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def gone(processes: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def passwords(data: Path) -> list[str]:
    return [file.read_text().strip() for file in (data / "postgres").glob("*.password")]


def test_from_the_first_run_to_the_fourth(tmp_path: Path) -> None:
    """Stopped by Ctrl-C, killed, stopped by a supervisor: it goes on where it was, each time."""
    data = tmp_path / "a path with spaces" / "the engine's data"
    message = json.dumps(notification("RUN-1", "RUN", "12.50"))
    with Engine(data) as first:
        assert STARTED.format(port=first.port) in first.log
        assert first.log.index(STARTED[:20]) < first.log.index(READY)
        assert stat.S_IMODE((data / "connections.json").stat().st_mode) == 0o600
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        secrets = passwords(data)
        assert len(secrets) == 2
        first.create_account("RUN", ledger_balance="0", bank_balance="0")
        assert first.send(message).status_code == 201
        children = first.children()
        assert {"postgres", "nats-server"} <= {p.name() for p in children}
        began = time.monotonic()
        assert first.stop(signal.SIGINT) == 0
        assert time.monotonic() - began < 8
        assert gone(children)
        assert first.log.rstrip().endswith("INFO Stopped")

    with Engine(data) as second:
        assert second.balance("RUN") == "12.50"
        assert second.send(message).status_code == 200
        assert second.send(notification("RUN-2", "RUN", "1.00")).status_code == 201
        children = second.children()
        second.kill()
        assert gone(children)

    with Engine(data) as third:
        assert third.balance("RUN") == "13.50"
        assert [m["bank_message_id"] for m in third.get(f"{V1}/messages")["messages"]] == ["RUN-2", "RUN-1"]
        assert third.account("RUN")["verdict"] == "Critical"
        children = third.children()
        assert third.stop(signal.SIGTERM) == 0
        assert gone(children)

    with Engine(data, env={"TOKEN_ENGINE_DATA": "ignored"}) as fourth:  # a flag wins over the environment
        assert fourth.cli("check").returncode == 0
        assert fourth.stop() == 0

    logs = "".join(run.log for run in (first, second, third, fourth))
    assert not [secret for secret in secrets if secret in logs]
    assert "Traceback" not in logs
    assert "WARNING" not in logs


def recorded(engine: Engine, message: dict[str, Any]) -> bool:
    return engine.send(message).status_code in (200, 201)


def test_servers_that_die_are_started_again(tmp_path: Path) -> None:
    with Engine(tmp_path / "data") as engine:
        urls = engine.database_url, engine.nats_url
        engine.create_account("AGAIN", ledger_balance="0", bank_balance="0")
        for turn, name in enumerate(("nats-server", "postgres"), 1):
            engine.kill_server(name)
            # The door says 503 while it cannot record, and records as soon as it can.
            message = notification(f"AGAIN-{turn}", "AGAIN", "1.00")
            wait_for(partial(recorded, engine, message))
        assert engine.balance("AGAIN") == "2.00"
        wait_for(lambda: "token_engine_outbox_events 0" in engine.http.get("/metrics").text)
        assert "INFO NATS is back on port" in engine.log
        assert "INFO PostgreSQL is back on port" in engine.log
        assert (engine.database_url, engine.nats_url) == urls
        assert engine.stop() == 0


def test_a_stop_in_the_middle_of_the_first_start(tmp_path: Path) -> None:
    with Engine(tmp_path / "data", wait=False) as engine:
        wait_for(lambda: "Preparing PostgreSQL" in engine.log)
        children = engine.children()
        assert engine.stop(signal.SIGINT, seconds=20) == 0
        assert gone(children)
    with Engine(tmp_path / "data") as again:
        assert again.stop() == 0


def test_a_stop_while_a_client_hangs_on(tmp_path: Path) -> None:
    """An open connection, and a request that never ends, hold nobody up for long."""
    with (
        Engine(tmp_path / "data") as engine,
        socket.create_connection(("127.0.0.1", engine.port)) as idle,
        socket.create_connection(("127.0.0.1", engine.port)) as slow,
    ):
        idle.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        idle.recv(100)
        head = f"POST {V1}/reconciliation/camt054 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{"
        slow.sendall(head.encode())
        assert engine.stop(seconds=9) == 0


def test_the_api_s_port_is_taken(tmp_path: Path, taken: int) -> None:
    done = run_command("run", "--data", tmp_path / "data", "--port", str(taken))
    assert done.returncode == 1
    told = (done.stdout + done.stderr).decode()
    assert told.splitlines() == [
        f"ERROR 127.0.0.1:{taken} cannot be used (Address already in use): choose another with --port"
    ]
    assert not (tmp_path / "data").exists()


def test_two_engines_started_at_once_on_one_port(tmp_path: Path) -> None:
    """One serves; the other says at once that it cannot, instead of serving nobody."""
    port = ports.choose([])
    with (
        Engine(tmp_path / "one", port=port, wait=False) as one,
        Engine(tmp_path / "two", port=port, wait=False) as two,
    ):
        wait_for(lambda: (one.process.poll() is None) != (two.process.poll() is None), 15)
        winner, loser = (one, two) if two.process.poll() is not None else (two, one)
        assert loser.process.returncode == 1
        assert "cannot be used" in loser.log
        winner.wait_ready()
        assert winner.get(f"{V1}/reconciliation/summary")["total_accounts"] == 0


def held(port: int) -> socket.socket | None:
    """The port, taken by us, or None: somebody else has it and keeps it, longer than an engine of another test."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if ports.is_free(port):
            with contextlib.suppress(OSError):
                return socket.create_server(("127.0.0.1", port))
        time.sleep(0.1)
    return None


def test_nats_gives_way_to_somebody_on_its_port(tmp_path: Path) -> None:
    holder = held(4222)
    try:
        with Engine(tmp_path / "data") as engine:
            assert "INFO Port 4222 is taken; NATS takes " in engine.log
            assert not engine.nats_url.endswith(":4222")
    finally:
        if holder:
            holder.close()


def test_two_engines_on_one_data_directory(tmp_path: Path) -> None:
    with Engine(tmp_path / "data") as engine:
        done = run_command("run", "--data", tmp_path / "data", "--port", str(ports.choose([])))
        assert done.returncode == 1
        told = (done.stdout + done.stderr).decode()
        assert f"ERROR Another token-engine (pid {engine.process.pid}) is using" in told
        assert "Traceback" not in told
        assert engine.get(f"{V1}/reconciliation/health")["status"] == "HEALTHY"


@pytest.mark.skipif(os.geteuid() != 0, reason="already an ordinary user: all other tests show it")
def test_as_an_ordinary_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    # setpriv itself still executes with root's rights; the shell after it does not.
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    nobody = [*become, "sh", "-c", 'exec "$@"', "sh"]
    reach = subprocess.run([*nobody, *COMMAND, "--help"], capture_output=True, check=False, cwd="/", env=environment())
    if reach.returncode:
        pytest.skip(f"uid 65534 cannot run {sys.executable}")
    # pytest's own temporary directory is closed to others.
    home = Path("/var/tmp") / f"token-engine-test-{os.getpid()}"
    home.mkdir(mode=0o700)
    os.chown(home, 65534, 65534)
    try:
        with Engine(home / "data", prefix=nobody, cwd=Path("/"), env={"HOME": str(home)}) as engine:
            engine.create_account("NOBODY", ledger_balance="0", bank_balance="0")
            assert engine.send(notification("U-1", "NOBODY", "1.00")).status_code == 201
            assert {p.uids().real for p in engine.children()} == {65534}
            assert (home / "data" / "connections.json").stat().st_uid == 65534
            assert engine.stop() == 0
    finally:
        subprocess.run(["rm", "-rf", str(home)], check=True)


@pytest.mark.parametrize("how", ["flags", "environment"])
def test_existing_servers_are_used_and_none_started(tmp_path: Path, database: str, nats_url: str, how: str) -> None:
    flags = ["--database-url", database, "--nats-url", nats_url] if how == "flags" else []
    env = {} if flags else {"TOKEN_ENGINE_DATABASE_URL": database, "NATS_URL": nats_url}
    with Engine(tmp_path / "data", *flags, "--demo", env=env) as engine:
        assert engine.children() == []
        assert len(engine.get(f"{V1}/accounts")["accounts"]) == 4
        # The demo's bank works here too.
        wait_for(lambda: engine.get(f"{V1}/messages")["messages"], 15)
        listed = run_command("accounts", "list", "--json", "--database-url", database)
        assert len(listed.stdout.splitlines()) == 4
        password = database.split(":")[2].split("@")[0]
        assert engine.stop() == 0
        assert "WARNING" not in engine.log
        assert password not in engine.log


def test_one_server_of_ones_own_and_one_started(tmp_path: Path, database: str) -> None:
    with Engine(tmp_path / "data", "--database-url", database) as engine:
        assert {p.name() for p in engine.children()} == {"nats-server"}
        assert engine.database_url == database
        engine.create_account("OWN", ledger_balance="0", bank_balance="0")
        assert b"OWN" in engine.cli("accounts", "list", "--json").stdout
        assert engine.stop() == 0


def unreachable(data: Path, database: str, what: str) -> tuple[int, str]:
    """How an engine ends that was pointed at a server which is not there, or not what it should be."""
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound and not listening: refused
        port = (silent if what.startswith("silent") else bound).getsockname()[1]
        url, nats_url = database, f"nats://me:hidden@127.0.0.1:{port}"
        if what.endswith("database"):
            url = f"postgresql://me:hidden@127.0.0.1:{port}/x"
        elif what == "no URL":
            url = "nonsense"
        flags = ["--database-url", url, "--nats-url", nats_url, "--port", str(ports.choose([]))]
        done = run_command("run", "--data", data, *flags, seconds=20)
    lines = (done.stdout + done.stderr).decode().splitlines()
    return done.returncode, "\n".join(line for line in lines if not line.startswith("INFO Schema"))


def test_servers_that_cannot_be_reached(tmp_path: Path, database: str) -> None:
    """One line each, soon, and without the password."""
    subjects = {
        "refused database": "The database",
        "silent database": "The database",
        "no URL": "The database",
        "refused NATS": "NATS",
        "silent NATS": "NATS",
    }
    with ThreadPoolExecutor(len(subjects)) as pool:
        ends = dict(zip(subjects, pool.map(partial(unreachable, tmp_path / "data", database), subjects), strict=True))
    for what, (code, told) in ends.items():
        assert code == 1, what
        assert told.startswith(f"ERROR {subjects[what]} cannot be used: "), told
        assert "\n" not in told
        assert "hidden" not in told


def test_a_stream_that_holds_the_events_subjects_is_named(tmp_path: Path, database: str) -> None:
    async def claim(url: str) -> None:
        client = await nats.connect(url)
        await client.jetstream().add_stream(name="THEIRS", subjects=["reconciliation.tier1.ok"])
        await client.close()

    bus = EmbeddedNats(tmp_path / "nats", preferred_port=None)
    try:
        asyncio.run(claim(bus.start(print)))
        flags = ["--database-url", database, "--nats-url", bus.url, "--port", str(ports.choose([]))]
        done = run_command("run", "--data", tmp_path / "data", *flags, seconds=20)
    finally:
        bus.stop()
    assert done.returncode == 1
    assert b"another stream holds subjects of reconciliation.>" in done.stderr


def test_a_data_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run_command("run", "--data", tmp_path / "file" / "data", "--port", str(ports.choose([])), seconds=20)
    assert done.returncode == 1
    assert b"NATS" not in done.stdout + done.stderr
    assert str(tmp_path / "file").encode() in done.stderr


def test_a_nats_server_that_goes_away_for_good(tmp_path: Path, database: str) -> None:
    """HTTP goes on, events wait in the outbox, and a stop is still a stop."""
    with (
        Engine(tmp_path / "bus") as other,
        Engine(tmp_path / "data", "--database-url", database, "--nats-url", other.nats_url) as engine,
    ):
        engine.create_account("ALONE", ledger_balance="0", bank_balance="0")
        other.kill()
        assert engine.send(notification("ALONE-1", "ALONE", "1.00")).status_code == 201
        assert engine.send(notification("ALONE-2", "ALONE", "1.00")).status_code == 201
        assert engine.balance("ALONE") == "2.00"
        wait_for(lambda: "token_engine_outbox_events 0" not in engine.http.get("/metrics").text)
        assert engine.stop(seconds=9) == 0
        assert "Traceback" not in engine.log
