"""The embedded PostgreSQL keeps its rows, whatever happens to it."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from token_engine.servers import EmbeddedPostgres, ServerError, bootstrap, cluster, port


def write(url: str, number: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
        connection.execute("INSERT INTO kept VALUES (%s)", [number])


def kept(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT number FROM kept ORDER BY number")]


def wait_until_dead(server: EmbeddedPostgres) -> None:
    deadline = time.monotonic() + 5
    while server.alive():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_restart_keeps_rows_port_and_url(postgres: EmbeddedPostgres, tmp_path: Path, said: list[str]) -> None:
    url = postgres.start(said.append)
    assert len(said) == 1
    assert "first run" in said[0]
    write(url, 1)
    postgres.stop()
    postgres.stop()
    assert not postgres.alive()
    assert postgres.pid is None

    next_run = EmbeddedPostgres(tmp_path / "postgres")
    try:
        assert next_run.start(said.append) == url
        assert kept(url) == [1]
        assert len(said) == 1, "a restart has nothing to tell"
        assert next_run.start(said.append) == url, "starting what runs changes nothing"
    finally:
        next_run.stop()


def test_the_engines_role_owns_its_database_and_nothing_else(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.start(print)) as connection:
        connection.execute("CREATE SCHEMA own")
        row = connection.execute(
            "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert row == ("token_engine", False, False, False)


def test_settings_are_those_of_money(postgres: EmbeddedPostgres) -> None:
    wanted = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "max_connections": "100",
        "shared_buffers": "256MB",
        "jit": "off",
        "logging_collector": "on",
    }
    postgres.start(print)
    with psycopg.connect(postgres.admin_url) as connection:
        found = {name: connection.execute(f"SHOW {name}").fetchone() for name in wanted}
        compressed = connection.execute("SHOW wal_compression").fetchone()
    assert found == {name: (value,) for name, value in wanted.items()}
    assert compressed is not None
    assert compressed[0] != "off"


def test_an_operators_own_setting_wins_and_stays(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    postgres.start(print)
    postgres.stop()
    with (tmp_path / "postgres/data/postgresql.conf").open("a") as conf:
        conf.write("work_mem = '7MB'\njit = on\n")
    with psycopg.connect(postgres.start(print)) as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("7MB",)
        assert connection.execute("SHOW jit").fetchone() == ("on",)


@pytest.mark.parametrize("name", ["with spaces, a 'quote' and ü", "long-" + "x" * 120])
def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    server = EmbeddedPostgres(tmp_path / name / "postgres")
    try:
        write(server.start(print), 1)
        server.stop()
        assert kept(server.start(print)) == [1]
    finally:
        server.stop()


def test_a_wanted_port_that_is_taken_is_replaced_aloud(tmp_path: Path, said: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        server = EmbeddedPostgres(tmp_path / "postgres", port=taken)
        try:
            url = server.start(said.append)
            assert server.port != taken
            assert f":{server.port}/" in url
            assert any(f"Port {taken} is taken" in text and str(server.port) in text for text in said)
        finally:
            server.stop()


def test_the_remembered_port_taken_between_runs(postgres: EmbeddedPostgres, tmp_path: Path, said: list[str]) -> None:
    postgres.start(print)
    first = postgres.port
    assert first is not None
    postgres.stop()
    with socket.create_server(("127.0.0.1", first)):
        next_run = EmbeddedPostgres(tmp_path / "postgres")
        try:
            next_run.start(said.append)
            assert next_run.port != first
            assert any(f"Port {first} is taken" in text for text in said)
        finally:
            next_run.stop()


def test_a_port_lost_between_check_and_bind_is_replaced(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken, choose = other.getsockname()[1], port.choose
        answers = iter([taken])
        monkeypatch.setattr(port, "choose", lambda wanted: next(answers, None) or choose(wanted))
        write(postgres.start(print), 1)
        assert postgres.port != taken


def test_kill_9_of_the_postmaster(postgres: EmbeddedPostgres) -> None:
    url = postgres.start(print)
    write(url, 1)
    before = postgres.pid
    assert before is not None
    # A session in the middle of something, which does not notice that its postmaster is gone.
    busy = psycopg.connect(url, autocommit=True)
    caught: list[BaseException] = []

    def work() -> None:
        try:
            busy.execute("SELECT count(*) FROM generate_series(1, 2000000000)")
        except psycopg.Error as error:
            caught.append(error)

    session = threading.Thread(target=work)
    session.start()
    time.sleep(0.2)
    os.kill(before, signal.SIGKILL)
    wait_until_dead(postgres)
    said: list[str] = []
    assert postgres.start(said.append) == url, "the same port: pools hold the URL"
    assert postgres.pid != before
    assert kept(url) == [1]
    session.join(10)
    busy.close()
    assert caught
    assert any("Stopping the sessions" in text for text in said)


def test_kill_9_of_a_backend(postgres: EmbeddedPostgres) -> None:
    url = postgres.start(print)
    write(url, 1)
    with psycopg.connect(url) as connection:
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT pg_sleep(5)")
    deadline = time.monotonic() + 10
    while True:
        try:
            assert kept(url) == [1]
            break
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert postgres.alive()


def test_a_server_left_by_an_earlier_run_is_stopped_aloud(
    postgres: EmbeddedPostgres, tmp_path: Path, said: list[str]
) -> None:
    write(postgres.start(print), 1)
    next_run = EmbeddedPostgres(tmp_path / "postgres")
    try:
        assert kept(next_run.start(said.append)) == [1]
        assert any("earlier run" in text and f"pid {postgres.pid}" in text for text in said)
        assert not postgres.alive()
    finally:
        next_run.stop()


@pytest.mark.parametrize("stale", ["another's pid", "dead pid", "empty", "torn"])
def test_a_stale_pid_file_does_not_block(postgres: EmbeddedPostgres, tmp_path: Path, stale: str) -> None:
    url = postgres.start(print)
    write(url, 1)
    note = tmp_path / "postgres/data/postmaster.pid"
    text = note.read_text()
    assert postgres.pid is not None
    os.kill(postgres.pid, signal.SIGKILL)
    wait_until_dead(postgres)
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        note.write_text(
            {
                "another's pid": text.replace(str(postgres.pid), str(bystander.pid), 1),
                "dead pid": text,
                "empty": "",
                "torn": "\0\0\0",
            }[stale]
        )
        assert kept(postgres.start(print)) == [1]
        assert bystander.poll() is None, "somebody else's process is not ours to stop"
    finally:
        bystander.kill()
        bystander.wait()


def test_death_before_the_new_database_has_its_name(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    program = Path(__file__).with_name("engine_program.py")
    died = subprocess.run([sys.executable, program, tmp_path, "rename"], capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL
    home = tmp_path / "postgres"
    assert not (home / "data").exists()
    assert list(home.glob("data.new-*"))
    write(postgres.start(print), 1)
    assert not list(home.glob("data.new-*"))


@pytest.mark.parametrize("delay", [0.15, 0.25, 0.35, 0.45, 0.6, 0.8])
def test_kill_9_of_the_engine_at_any_point_of_its_first_start(
    postgres: EmbeddedPostgres, tmp_path: Path, delay: float
) -> None:
    program = Path(__file__).with_name("engine_program.py")
    engine = subprocess.Popen([sys.executable, program, tmp_path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(delay)
    engine.kill()
    engine.wait()
    write(postgres.start(print), 1)


def test_a_half_made_set_up_is_completed(postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise psycopg.OperationalError("the lights went out")

    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "ensure_database", fail)
        with pytest.raises(ServerError, match="the lights went out"):
            postgres.start(print)
        assert not postgres.alive()
    write(postgres.start(print), 1)


def test_passwords_are_for_the_engines_user_only(postgres: EmbeddedPostgres, tmp_path: Path, said: list[str]) -> None:
    seen = b""
    over = threading.Event()

    def look() -> None:
        nonlocal seen
        while not over.is_set():
            seen += subprocess.run(["ps", "axeww", "-o", "command"], capture_output=True, check=False).stdout

    spy = threading.Thread(target=look)
    spy.start()
    postgres.start(said.append)
    over.set()
    spy.join()
    home = tmp_path / "postgres"
    files = [home / "superuser.password", home / "engine.password"]
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for place in (home, home / "data", home / "log"):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert postgres.log.stat().st_size > 0
    passwords = [file.read_bytes().strip() for file in files]
    assert all(len(password) > 40 for password in passwords)
    assert passwords[0] != passwords[1]
    logs = b"".join(log.read_bytes() for log in [*home.glob("*.log"), *home.glob("log/*")])
    assert b"postgres" in seen
    for password in passwords:
        assert password not in seen
        assert password not in logs
        assert password not in "".join(said).encode()
        assert password not in (home / "engine.conf").read_bytes()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://postgres@127.0.0.1:{postgres.port}/postgres?sslmode=disable")


def test_a_changed_engine_password_is_taken_up(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    write(postgres.start(print), 1)
    postgres.stop()
    (tmp_path / "postgres/engine.password").unlink()
    assert kept(postgres.start(print)) == [1]


def test_a_lost_superuser_password_is_named(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    postgres.start(print)
    postgres.stop()
    (tmp_path / "postgres/superuser.password").unlink()
    with pytest.raises(ServerError, match=r"superuser\.password is gone"):
        postgres.start(print)


def test_another_major_version_is_refused_untouched(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    data = tmp_path / "postgres/data"
    data.mkdir(parents=True, mode=0o700)
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(ServerError, match=r"PostgreSQL 16.*PostgreSQL 18.*\n.*pg_upgrade"):
        postgres.start(print)
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_a_foreign_directory_is_refused_untouched(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    data = tmp_path / "postgres/data"
    data.mkdir(parents=True, mode=0o700)
    (data / "holiday.jpg").write_text("x")
    with pytest.raises(ServerError, match="not empty"):
        postgres.start(print)
    assert [path.name for path in data.iterdir()] == ["holiday.jpg"]


def test_a_start_that_fails_quotes_the_log(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    postgres.start(print)
    postgres.stop()
    (tmp_path / "postgres/data/postgresql.conf").write_text("shared_buffers = 'plenty'\n")
    with pytest.raises(ServerError, match=r'(?s)did not start.*start\.log.*"plenty".*--database-url'):
        postgres.start(print)


def test_an_unusable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match=r"(?s)could not be started: .*Check the rights"):
        EmbeddedPostgres(tmp_path / "file" / "postgres").start(print)


def test_a_failing_initdb_quotes_the_log(
    postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "SUPERUSER", "pg_forbidden")
    with pytest.raises(ServerError, match=r"(?s)initdb.*initdb\.log.*pg_"):
        postgres.start(print)
    assert not list((tmp_path / "postgres").glob("data*"))


def test_stop_cuts_a_start_short(postgres: EmbeddedPostgres) -> None:
    caught: list[BaseException] = []

    def start() -> None:
        try:
            postgres.start(print)
        except ServerError as error:
            caught.append(error)

    starter = threading.Thread(target=start)
    starter.start()
    time.sleep(0.2)
    postgres.stop()
    starter.join(5)
    assert not starter.is_alive()
    assert caught
    assert not postgres.alive()
    write(postgres.start(print), 1)


def test_ctrl_c_reaches_only_the_engine(postgres: EmbeddedPostgres) -> None:
    postgres.start(print)
    assert postgres.pid is not None
    assert os.getsid(postgres.pid) == postgres.pid
    assert os.getsid(postgres.pid) != os.getsid(0)


def test_the_environment_does_not_reach_the_server(postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PGDATA": "/nowhere",
        "PGSSLMODE": "require",
        "LC_ALL": "xx_YY",
        "PGPORT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    write(postgres.start(print), 1)
