"""Named queries: the `.sql` file beside a module holds its statements, each under `-- name: x`."""

from __future__ import annotations

import re
from importlib.resources import files
from types import SimpleNamespace

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load(module: str) -> SimpleNamespace:
    """Statements of `storage/<module>.sql` as attributes. Raises FileNotFoundError if there is none."""
    text = (files("token_engine.storage") / f"{module}.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    names, statements = parts[::2], (part.strip().encode() for part in parts[1::2])
    return SimpleNamespace(**dict(zip(names, statements, strict=True)))
