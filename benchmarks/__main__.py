"""Measure, print one table, and write `benchmarks/out/figures.json`.

python -m benchmarks [--full] [drain | latency | http | expectations | holds | growth | memory | reading |
                              eod | matching | report | sweep | trend …]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks import drain, eod, expectations, growth, holds, http, latency, matching, reading, report, sweep, trend
from benchmarks.figure import Figure
from benchmarks.servers import OUT, Servers, servers

MEASUREMENTS: Final[dict[str, Callable[[Servers, bool], Iterator[Figure]]]] = {
    "drain": lambda running, _: drain.run(running),
    "latency": lambda running, _: latency.run(running),
    "http": lambda running, _: http.run(running),
    "expectations": lambda running, _: expectations.run(running),
    "holds": lambda running, _: holds.run(running),
    "growth": lambda running, _: growth.run(running),
    "memory": lambda running, full: growth.memory(running, full=full),
    "reading": lambda _, __: reading.run(),
    "eod": lambda running, full: eod.run(running, full=full),
    "matching": lambda running, full: matching.run(running, full=full),
    "report": lambda running, _: report.run(running),
    "sweep": lambda running, _: sweep.run(running),
    "trend": lambda running, full: trend.run(running, full=full),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"some of {', '.join(MEASUREMENTS)}")
    parser.add_argument(
        "--full",
        action="store_true",
        help="a million messages for memory, a million lines for matching, 28.8 million observations for trend",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - MEASUREMENTS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    console = Console()
    started = time.monotonic()
    figures: list[Figure] = []
    with servers() as running:
        for name in arguments.names or MEASUREMENTS:
            console.print(f"{name} …", style="dim")
            for figure in MEASUREMENTS[name](running, arguments.full):
                figures.append(figure)
                console.print(f"  {figure.name}: {_number(figure.value)} {figure.unit}", style="dim")
    (OUT / "figures.json").write_text(json.dumps([f._asdict() for f in figures], indent=2) + "\n")
    console.print(_table(figures))
    minutes = (time.monotonic() - started) / 60
    console.print(f"{os.cpu_count()} cores, {minutes:.1f} min, written to {OUT / 'figures.json'}", style="dim")


def _table(figures: list[Figure]) -> Table:
    table = Table("measured", "engine", "unit", "baseline", "ratio")
    for number in (1, 3, 4):
        table.columns[number].justify = "right"
    for f in figures:
        ratio = f"{f.ratio:.2f}" if f.ratio is not None else ""
        table.add_row(f.name, _number(f.value), f.unit, _number(f.baseline), ratio)
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"


if __name__ == "__main__":
    main()
