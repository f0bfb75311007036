"""`python -m token_engine.banks.simulated --port N --books FILE [--drop FOLDER]`: the bank by itself, on loopback."""

from __future__ import annotations

import argparse
import secrets
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import uvicorn

from token_engine.banks.simulated import control
from token_engine.banks.simulated.app import Bank, app
from token_engine.banks.simulated.books import Books
from token_engine.banks.simulated.faults import Faults
from token_engine.banks.simulated.tokens import Tokens


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    said = argparse.ArgumentParser(prog="python -m token_engine.banks.simulated", description=__doc__)
    said.add_argument("--port", type=int, required=True)
    said.add_argument("--books", type=Path, required=True, help="a SQLite file, made when there is none")
    said.add_argument("--drop", type=Path, help="where camt files are left")
    chosen = said.parse_args()
    bank = Bank(
        books=Books(chosen.books), faults=Faults(), tokens=Tokens(secrets.token_urlsafe), drop_folder=chosen.drop,
        clock=lambda: datetime.now(UTC), new_id=lambda: str(uuid4()),
    )  # fmt: skip
    uvicorn.run(
        app(bank, *control.routes(bank)), host="127.0.0.1", port=chosen.port, log_level="warning", access_log=False,
        lifespan="off", server_header=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()
