"""Accesses to banks: set by an operator at the engine's own machine, never over HTTP, because their settings say which
files and variables are read and where what lies there is sent.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

import msgspec

from token_engine.banks.settings import ConnectionSettings
from token_engine.domain.person import check_actor
from token_engine.domain.refusal import RefusedError
from token_engine.storage import polling
from token_engine.storage.database import Transaction
from token_engine.tiers import events
from token_engine.tiers.changes import Changes

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,59}", re.ASCII)


async def save(tx: Transaction, name: str, settings: bytes, actor: str, now: datetime) -> dict[str, Any]:
    """Set an access to a bank: `settings` is JSON of one of the kinds, credentials by reference only; its view.

    Raises RefusedError naming the field.
    """
    actor = check_actor(actor)
    if not _NAME.fullmatch(name):
        text = "name: small letters, digits, and _ . - between them; 60 at most"
        raise RefusedError("invalid_connection", text, "name")
    try:
        wanted = msgspec.json.decode(settings, type=ConnectionSettings)
    except msgspec.DecodeError as wrong:
        _, _, place = str(wrong).partition(" - at `$.")
        raise RefusedError("invalid_connection", str(wrong), place.rstrip("`") or None) from None
    kept = msgspec.json.encode(wanted).decode()
    kind = wanted.kind
    await polling.save_connection(tx, name, kind, kept, actor, now)
    changes = Changes(now)
    view = {"name": name, "kind": kind, "set_by": actor, "set_at": now}
    changes.announce(events.CONNECTION_SET, f"connection.{name}.{now.timestamp()}", None, view)
    changes.note("connection_set", None, None, {"name": name, "settings": msgspec.to_builtins(wanted)}, actor)
    await changes.write(tx)
    return view


async def listing(tx: Transaction) -> list[dict[str, Any]]:
    """The accesses by name and kind; their settings stay where operators look."""
    return [
        {"name": row.name, "kind": row.kind, "set_by": row.set_by, "set_at": row.set_at}
        for row in await polling.connections(tx)
    ]


async def settings_of(tx: Transaction, name: str) -> dict[str, Any]:
    """One access with its settings, for an operator. Raises RefusedError."""
    found = await polling.connections(tx, name)
    if not found:
        raise RefusedError("unknown_connection", f"no connection {name!r} is known here", "name")
    row = found[0]
    view = {"name": row.name, "kind": row.kind, "set_by": row.set_by, "set_at": row.set_at}
    return view | {"settings": msgspec.json.decode(row.settings)}
