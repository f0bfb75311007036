"""The command line: `token-engine COMMAND`. One file per command; each translates and decides nothing."""

from __future__ import annotations

import typer

from token_engine.cli import read

app = typer.Typer(
    name="token-engine",
    help="Proves that every token is backed by money at a bank, and stops payouts when it is not.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("read")(read.read)


@app.callback()
def _root() -> None:
    """Keeps `token-engine read …` a subcommand while it is the only one."""


def main() -> None:
    """Entry point of the console script."""
    app()
