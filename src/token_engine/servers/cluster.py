"""The database directory: made once, all or nothing, and checked before each start."""

from __future__ import annotations

import secrets
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from token_engine.servers.durable import rename, replace
from token_engine.servers.error import ServerError, explained
from token_engine.servers.identity import Identity
from token_engine.servers.process import end
from token_engine.servers.settings import INCLUDE
from token_engine.servers.spawn import spawn

SUPERUSER: Final = "postgres"
MAJOR: Final = 18  # of the wheel that pyproject.toml pins
_PATIENCE: Final = 300


def check(data: Path) -> bool:
    """True if there is a database that this PostgreSQL can open, False if there is none yet."""
    try:
        major = (data / "PG_VERSION").read_text("ascii").strip()
    except FileNotFoundError:
        if data.exists() and any(data.iterdir()):
            raise ServerError(
                f"{data} is not empty and holds no PostgreSQL database (no PG_VERSION).\n"
                "Move it away, or choose another data directory with --data."
            ) from None
        return False
    if major == str(MAJOR):
        return True
    raise ServerError(
        f"The database in {data} was made by PostgreSQL {major}, and this token-engine brings"
        f" PostgreSQL {MAJOR}, which cannot open it. Nothing was changed.\n"
        f"Bring it over with pg_upgrade, or with pg_dump from a PostgreSQL {major} and a restore into a new"
        f" data directory; or run a PostgreSQL {major} on it yourself and name it with --database-url."
    )


def make(
    data: Path,
    *,
    postgres_bin: Path,
    identity: Identity,
    password_file: Path,
    say: Callable[[str], None],
    halt: threading.Event,
) -> None:
    """Make the database beside its place, then rename: a crash at any point leaves all or nothing."""
    home = data.parent
    say(f"Preparing PostgreSQL {MAJOR} in {data} (first run)…")
    # What a crash left. Never a name that is used again: an initdb that outlived its engine could
    # still be writing there.
    for leftover in home.glob(f"{data.name}.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    new = home / f"{data.name}.new-{secrets.token_hex(4)}"
    log = home / "initdb.log"
    child = spawn(
        [
            str(postgres_bin / "initdb"),
            *("-D", str(new), "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={password_file}"),
            # The built-in provider sorts alike on every system, whatever its C library.
            *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            "--data-checksums",
        ],
        identity=identity,
        directory=home,
        log=log,
        death_signal=signal.SIGTERM,
    )
    deadline = time.monotonic() + _PATIENCE
    while child.poll() is None:
        if halt.wait(0.02) or time.monotonic() > deadline:
            end(child.pid, lambda: child.poll() is not None, [(signal.SIGTERM, 10), (signal.SIGKILL, 10)])
            shutil.rmtree(new, ignore_errors=True)
            raise explained("The database was not made: stopped, or out of time.", remedy="Start again.", log=log)
    if child.returncode != 0:
        shutil.rmtree(new, ignore_errors=True)
        raise explained(
            f"initdb could not make the database in {data} (exit code {child.returncode}).",
            remedy="Check the rights and the free space there, or name a server with --database-url.",
            log=log,
        )
    conf = new / "postgresql.conf"
    replace(conf, conf.read_bytes() + f"\n{INCLUDE}\n\n# Your own settings go below this line.\n".encode())
    identity.give(conf)
    rename(new, data)
