"""An engine that lost one of its rooms ends, instead of looking well without it."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio
from token_engine.telemetry import logs
from token_engine.wiring import must_not_end

async def room(fails):
    if fails:
        raise RuntimeError("no such luck")

async def main(fails, stopping):
    stop = asyncio.Event()
    if stopping:
        stop.set()
    must_not_end(asyncio.create_task(room(fails), name="batcher"), stop)
    await asyncio.sleep(0.1)

logs.configure()
asyncio.run(main({fails}, {stopping}))
"""


def ended(*, fails: bool, stopping: bool) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(fails=fails, stopping=stopping)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_a_room_that_fails_ends_the_engine() -> None:
    outcome = ended(fails=True, stopping=False)
    assert outcome.returncode == 70
    assert "ERROR batcher ended; the engine cannot go on without it" in outcome.stdout
    assert "no such luck" in outcome.stdout


def test_a_room_that_just_ends_does_too() -> None:
    assert ended(fails=False, stopping=False).returncode == 70


def test_at_a_stop_rooms_may_end() -> None:
    assert ended(fails=False, stopping=True).returncode == 0
