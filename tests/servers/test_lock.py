"""One engine per data directory."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from token_engine.servers import DataDirectory, ServerError


def test_made_private_with_its_parents(tmp_path: Path) -> None:
    with DataDirectory(tmp_path / "a" / "b") as data:
        assert data.path == (tmp_path / "a" / "b").resolve()
        assert stat.S_IMODE(data.path.stat().st_mode) == 0o700


def test_a_second_engine_is_refused_and_told_who(tmp_path: Path) -> None:
    with (
        DataDirectory(tmp_path),
        pytest.raises(ServerError, match=rf"Another token-engine \(pid {os.getpid()}\) is using"),
    ):
        DataDirectory(tmp_path)
    DataDirectory(tmp_path).release()


def test_released_by_death_and_not_held_by_children(tmp_path: Path) -> None:
    # The grandchild lives on after the engine was killed: were the lock inherited, it would hold.
    engine = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, subprocess, sys\n"
            "from pathlib import Path\n"
            "from token_engine.servers import DataDirectory\n"
            "data = DataDirectory(Path(sys.argv[1]))\n"
            "child = subprocess.Popen(['sleep', '30'], close_fds=False, stdout=2)\n"
            "forked = os.fork()\n"
            "if not forked: os.dup2(2, 1); os.execvp('sleep', ['sleep', '30'])\n"
            "print(child.pid, forked, flush=True)\n"
            "sys.stdin.read()",
            str(tmp_path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert engine.stdout is not None
    survivors = [int(pid) for pid in engine.stdout.readline().split()]
    try:
        with pytest.raises(ServerError, match=str(engine.pid)):
            DataDirectory(tmp_path)
        engine.kill()
        engine.communicate()
        DataDirectory(tmp_path).release()
    finally:
        for pid in survivors:
            os.kill(pid, 9)


def test_a_file_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match="cannot be used"):
        DataDirectory(tmp_path / "file")
