"""One measured figure."""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """`baseline` is the plain service's value or None; `ratio` says how many times better the engine is,
    or for flatness how much the value grew.
    """

    name: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
