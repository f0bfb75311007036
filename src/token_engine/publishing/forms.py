"""The forms that a document can have, and what each is called."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, assert_never

from token_engine.domain.dataset import Cover, Dataset
from token_engine.publishing.canonical import as_json
from token_engine.publishing.separated import as_csv


class Form(StrEnum):
    """JSON is the dataset itself: its bytes are what the hash is of."""

    JSON = "json"
    PDF = "pdf"
    XLSX = "xlsx"
    CSV = "csv"


MEDIA_TYPE: Final = {
    Form.JSON: "application/json",
    Form.PDF: "application/pdf",
    Form.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Form.CSV: "text/csv; charset=utf-8",
}


def published(dataset: Dataset, cover: Cover, form: Form) -> bytes:
    """The report in one of its forms."""
    match form:
        case Form.JSON:
            return as_json(dataset)
        case Form.PDF:
            # What draws takes longer to load than a command that draws nothing takes to run.
            from token_engine.publishing.printed_report import as_pdf

            return as_pdf(dataset, cover)
        case Form.XLSX:
            from token_engine.publishing.sheets import as_xlsx

            return as_xlsx(dataset, cover)
        case Form.CSV:
            return as_csv(dataset, cover)
        case _:
            assert_never(form)
