"""kill -9 of the engine: no orphans, nothing lost, and the next start just starts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

PROGRAM = Path(__file__).with_name("engine_program.py")


class Engine:
    def __init__(self, data: Path) -> None:
        self.process = subprocess.Popen([sys.executable, PROGRAM, data], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        where = json.loads(self.process.stdout.readline())
        self.postgres, self.url = where["postgres"]
        self.nats, self.nats_url = where["nats"]

    def end(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0


def gone(pids: list[int]) -> bool:
    found = subprocess.run(
        ["ps", "-o", "stat=", "-p", ",".join(map(str, pids))], capture_output=True, text=True, check=False
    )
    return all(state.startswith("Z") for state in found.stdout.split())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children; elsewhere the next start does")
def test_the_servers_go_with_the_engine_and_come_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    engine = Engine(data)
    time.sleep(0.5)  # the threads that started the servers are gone; the servers are not
    with psycopg.connect(engine.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
    assert not gone([engine.postgres])
    assert not gone([engine.nats])
    engine.process.kill()
    engine.process.communicate()
    deadline = time.monotonic() + 5
    while not gone([engine.postgres, engine.nats]):
        assert time.monotonic() < deadline
        time.sleep(0.05)

    again = Engine(data)
    assert (again.url, again.nats_url) == (engine.url, engine.nats_url)
    with psycopg.connect(again.url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (1,)
    again.end()
    assert gone([again.postgres, again.nats])


def test_started_again_at_once(tmp_path: Path) -> None:
    """While the servers of the killed engine are still shutting down, as a process supervisor does."""
    data = tmp_path / "data"
    for _ in range(3):
        engine = Engine(data)
        engine.process.kill()
        engine.process.wait()
        engine.process.communicate()
    Engine(data).end()
