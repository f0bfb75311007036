"""What an operator can set, by flag or environment."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

DEFAULT_DATA_DIR: Final = Path("var")
DEFAULT_PORT: Final = 8080
INTRADAY_MINUTES: Final = 30
"""Tier 2 judges every account this often (specification, "Tier 2")."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the engine keeps its data and which servers it uses; no URL means an embedded server. `firm` is whose
    name stands on printed reports.
    """

    data_dir: Path = DEFAULT_DATA_DIR
    database_url: str | None = None
    nats_url: str | None = None
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    demo: bool = True
    firm: str | None = None
    drop_folder: Path | None = None
    """Where files are dropped; if None `inbox` in the data directory, of an engine that has one."""

    @property
    def inbox(self) -> Path | None:
        """The folder to look into. An engine on servers of others keeps no data directory."""
        if self.drop_folder is not None:
            return self.drop_folder
        return None if self.database_url and self.nats_url else self.data_dir / "inbox"


class Connections(msgspec.Struct, frozen=True):
    """How other commands reach the servers of a running engine. The URLs carry credentials."""

    database_url: str
    nats_url: str


def connections_file(data_dir: Path) -> Path:
    return data_dir / "connections.json"


def write_connections(data_dir: Path, connections: Connections) -> None:
    """Leave the URLs for other commands, readable by this user only."""
    path = connections_file(data_dir)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(msgspec.json.encode(connections))


def read_connections(data_dir: Path) -> Connections | None:
    """The URLs that the last engine on this data directory left, if any."""
    try:
        return msgspec.json.decode(connections_file(data_dir).read_bytes(), type=Connections)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
