"""A report as a workbook: a sheet for each table. Amounts are text, since a number of a spreadsheet has 15 digits."""

from __future__ import annotations

import io
from typing import Final

import xlsxwriter

from token_engine.domain.dataset import Cover, Dataset
from token_engine.publishing.tables import tables_of

_WIDEST: Final = 44
_LONGEST: Final = 32_000
"""A cell holds 32,767 characters."""
_CUT: Final = "… (whole in the JSON and CSV)"


def as_xlsx(dataset: Dataset, cover: Cover) -> bytes:
    """The workbook. Written row by row: its memory does not grow with the accounts."""
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"constant_memory": True, "strings_to_numbers": False})
    book.set_properties({"title": dataset.id, "comments": cover.sha256, "created": dataset.until})
    heading = book.add_format({"bold": True, "bg_color": "#E8ECF1", "bottom": 1, "text_wrap": True, "valign": "top"})
    for table in tables_of(dataset, cover):
        sheet = book.add_worksheet(table.name)
        sheet.freeze_panes(1, 0)
        for column, name in enumerate(table.columns):
            sheet.set_column(column, column, min(_WIDEST, max(14, len(name) + 2)))
        for column, name in enumerate(table.columns):
            sheet.write_string(0, column, name, heading)
        count = 0
        for count, row in enumerate(table.rows, 1):
            for column, text in enumerate(row):
                if text:
                    sheet.write_string(count, column, text if len(text) <= _LONGEST else f"{text[:_LONGEST]}{_CUT}")
        sheet.autofilter(0, 0, count, len(table.columns) - 1)
        sheet.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})
    book.close()
    return file.getvalue()
