"""As root, as an ordinary user, and as root where user namespaces are forbidden."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import token_engine
from token_engine.servers import EmbeddedPostgres, ServerError, settle
from token_engine.servers.identity import NAMESPACE, Identity, dropped

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that any user can pass through; pytest's own are closed to others."""
    path = Path(tempfile.mkdtemp(prefix="token engine "))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@as_root
@pytest.mark.skipif(sys.platform != "linux", reason="user namespaces are Linux's")
def test_root_runs_it_in_a_user_namespace_and_keeps_its_files(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres")
    try:
        server.start(print)
        assert server.pid is not None
        ours = os.readlink("/proc/self/ns/user")
        if os.readlink(f"/proc/{server.pid}/ns/user") == ours:
            pytest.skip("user namespaces are forbidden here")
        assert (tmp_path / "postgres/data").stat().st_uid == 0
    finally:
        server.stop()


def runs_as(pid: int) -> int:
    return int(subprocess.run(["ps", "-o", "uid=", "-p", str(pid)], capture_output=True, check=True).stdout)


def refuse_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a container without the right to make namespaces answers."""
    real = settle._try

    def attempt(home: Path, identity: Identity, postgres: Path) -> str | None:
        if identity is NAMESPACE:
            return "cannot become namespace: unshare: Operation not permitted"
        return real(home, identity, postgres)

    monkeypatch.setattr(settle, "_try", attempt)


@as_root
def test_without_namespaces_it_runs_as_nobody_and_is_resumed_as_nobody(
    reachable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = reachable / "data"
    data.mkdir(mode=0o700)
    (data / "lock").touch()
    home = data / "postgres"
    with monkeypatch.context() as patch:
        refuse_namespaces(patch)
        server = EmbeddedPostgres(home)
        try:
            try:
                server.start(print)
            except ServerError as error:
                pytest.skip(f"nobody cannot reach the programs: {error}")
            assert server.pid is not None
            assert runs_as(server.pid) == NOBODY.pw_uid
            assert (home / "data").stat().st_uid == NOBODY.pw_uid
            assert (data.stat().st_uid, data.stat().st_mode & 0o777) == (0, 0o701)
            with psycopg.connect(server.url) as connection:
                connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
        finally:
            server.stop()
    # Namespaces are allowed again; the directory stays with its owner.
    server = EmbeddedPostgres(home)
    try:
        with psycopg.connect(server.start(print)) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (1,)
        assert (home / "data").stat().st_uid == NOBODY.pw_uid
    finally:
        server.stop()


@as_root
def test_roots_directory_moves_to_nobody_when_namespaces_go(reachable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedPostgres(reachable / "postgres")
    try:
        with psycopg.connect(server.start(print)) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
        server.stop()
        refuse_namespaces(monkeypatch)
        try:
            server.start(print)
        except ServerError as error:
            pytest.skip(f"nobody cannot reach the programs: {error}")
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (1,)
    finally:
        server.stop()


@as_root
def test_no_way_at_all_is_explained_and_leaves_the_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_namespaces(monkeypatch)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / "postgres")
    with pytest.raises(ServerError, match=r"(?s)refuses to run as root.*unshare.*ordinary user.*--database-url"):
        server.start(print)
    assert (closed / "postgres").stat().st_uid == 0
    assert closed.stat().st_mode & 0o777 == 0o700


@as_root
def test_an_ordinary_user(reachable: Path) -> None:
    interpreter = _interpreter_for_others()
    places = [str(Path(token_engine.__file__).parents[1]), sysconfig.get_path("purelib")]
    data = reachable / "data"
    data.mkdir(mode=0o700)
    os.chown(data, NOBODY.pw_uid, NOBODY.pw_gid)
    program = reachable / "program.py"
    shutil.copy(Path(__file__).with_name("engine_program.py"), program)
    done = subprocess.run(
        [interpreter, program, data],
        env={"PYTHONPATH": os.pathsep.join(places), "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=reachable,
        user=NOBODY.pw_uid,
        group=NOBODY.pw_gid,
        extra_groups=[],
        check=False,
    )
    if done.returncode != 0 and "No module named" in done.stderr:
        pytest.skip(f"another user's interpreter does not find our packages: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["uid"] == NOBODY.pw_uid
    owners = {path.stat().st_uid for path in data.rglob("*")}
    assert owners == {NOBODY.pw_uid}

    # Root comes later, as `sudo token-engine run` does: the directory stays with its owner.
    server = EmbeddedPostgres(data / "postgres")
    try:
        server.start(print)
        assert server.pid is not None
        assert runs_as(server.pid) == NOBODY.pw_uid
        assert {path.stat().st_uid for path in (data / "postgres").rglob("*")} == {NOBODY.pw_uid}
    finally:
        server.stop()


def _interpreter_for_others() -> str:
    """An interpreter of our version that any user may run: ours, or the system's."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for path in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        try:
            subprocess.run([path, "-c", ""], user=NOBODY.pw_uid, cwd="/", check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return path
    pytest.skip("no interpreter that another user may run")


def test_an_ordinary_user_is_told_whose_directory_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(ServerError, match=r"belongs to .*and this is uid 12345"):
        settle.settle(tmp_path, tmp_path / "data", Path("/bin/true"))


def test_dropping_names_user_and_group() -> None:
    assert dropped(5, 6).spec == "5:6"
