"""The one exception of this room, and the words around it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_QUOTED_LINES: Final = 12
_QUOTED_BYTES: Final = 8192


class ServerError(Exception):
    """Says what happened, where the log is, and what a person can do. Shown as it is, without a traceback."""


def explained(what: str, *, remedy: str, log: Path | None = None) -> ServerError:
    """A `ServerError` that quotes the end of `log`, so that nobody has to go and look for the cause."""
    parts = [what]
    if log is not None:
        lines = last_lines(log)
        parts.append(f"The log is {log}" + (", and ends:" if lines else " (empty)."))
        parts.extend(f"  | {line}" for line in lines)
    parts.append(remedy)
    return ServerError("\n".join(parts))


def last_lines(log: Path) -> list[str]:
    """The last lines of a log, or none if it cannot be read: quoting must not hide the real error."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _QUOTED_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-_QUOTED_LINES:]
