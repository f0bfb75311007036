"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from token_engine.config import DEFAULT_DATA_DIR, read_connections

DATABASE_VARIABLES: Final = ["TOKEN_ENGINE_DATABASE_URL", "DATABASE_URL"]
NATS_VARIABLES: Final = ["TOKEN_ENGINE_NATS_URL", "NATS_URL"]

Data = Annotated[
    Path,
    typer.Option("--data", envvar="TOKEN_ENGINE_DATA", help="Where the embedded servers keep their data."),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url", envvar=DATABASE_VARIABLES, show_envvar=False,
        help="A PostgreSQL of your own, 15 or newer (also: TOKEN_ENGINE_DATABASE_URL, DATABASE_URL).",
    ),
]  # fmt: skip
NatsUrl = Annotated[
    str | None,
    typer.Option(
        "--nats-url", envvar=NATS_VARIABLES, show_envvar=False,
        help="A NATS server of your own with JetStream (also: TOKEN_ENGINE_NATS_URL, NATS_URL).",
    ),
]  # fmt: skip
Firm = Annotated[
    str | None, typer.Option("--firm", envvar="TOKEN_ENGINE_FIRM", help="Whose name stands on printed reports."),
]  # fmt: skip
Actor = Annotated[str, typer.Option("--actor", envvar="USER", help="Who does this, for the audit log.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]
DATA: Final = DEFAULT_DATA_DIR


def database_of(url: str | None, data: Path) -> str:
    """The database to work on: the one named, else that of the engine running on the data directory."""
    if url:
        return url
    connections = read_connections(data)
    if connections is None:
        typer.echo(
            f"No engine has run on {data} yet: start one with `token-engine run`, or give --database-url.",
            err=True,
        )
        raise typer.Exit(2)
    return connections.database_url
