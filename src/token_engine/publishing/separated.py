"""A report as CSV (RFC 4180): each row begins with its table's name, each table with the names of its columns."""

from __future__ import annotations

import csv
import io
import re
from typing import Final

from token_engine.domain.dataset import Cover, Dataset
from token_engine.publishing.tables import tables_of

_FORMULA: Final = re.compile(r"[=+@\t\r]|-(?![0-9]+(\.[0-9]+)?\Z)")


def as_csv(dataset: Dataset, cover: Cover) -> bytes:
    """UTF-8 with a byte order mark, for spreadsheets take anything else for their own code page."""
    text = io.StringIO()
    writer = csv.writer(text)
    for table in tables_of(dataset, cover):
        writer.writerow(("table", *table.columns))
        for row in table.rows:
            writer.writerow((table.name, *map(harmless, row)))
    return text.getvalue().encode("utf-8-sig")


def harmless(text: str) -> str:
    """A word that a spreadsheet would take for a formula gets an apostrophe; an amount below zero stays as it is."""
    return f"'{text}" if _FORMULA.match(text) else text
