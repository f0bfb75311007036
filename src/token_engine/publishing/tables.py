"""A dataset as tables: what a spreadsheet and a CSV hold. Every member of the dataset is in one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any, Final, NamedTuple, get_args

import msgspec

from token_engine.domain.dataset import Cover, Dataset, Discrepancy, Opening, Signature
from token_engine.domain.report import AccountPart
from token_engine.domain.safeguarding import Line
from token_engine.domain.tally import Extent, Holding, Total
from token_engine.publishing.canonical import plain


class Table(NamedTuple):
    """Rows of words: an amount is the decimal string of the dataset, to its last digit. Nothing is an empty word."""

    name: str
    columns: Sequence[str]
    rows: Iterator[list[str]]


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """A currency at the report's close, and how far it went over the period."""

    closing: Total
    held: Decimal
    sent: Decimal
    announced: Decimal
    requirement: Extent | None
    resource: Extent | None


_HIDDEN: Final = "closing"
"""An account's closing line is what its row is about: its columns have no prefix."""


def tables_of(dataset: Dataset, cover: Cover) -> Iterator[Table]:
    """All tables, in the order of a report: what it is, sums, where the money lies, days, accounts, breaks."""
    yield Table("report", ("name", "value"), iter(_about(dataset, cover)))
    yield _table("currencies", Totals, (
        Totals(closing=part.closing, held=part.on_the_way.held, sent=part.on_the_way.sent,
               announced=part.on_the_way.announced, requirement=part.requirement, resource=part.resource)
        for part in dataset.currencies
    ))  # fmt: skip
    yield _table("holdings", Holding, (holding for part in dataset.currencies for holding in part.holdings))
    yield _table("days", Total, (day for part in dataset.currencies for day in part.days))
    yield _table("accounts", AccountPart, dataset.accounts)
    yield _table("lines", Line, dataset.lines)
    yield _table("discrepancies", Discrepancy, dataset.discrepancies)
    yield _table("incidents", Opening, dataset.incidents)
    yield _table("sign_offs", Signature, cover.signatures)


def _about(dataset: Dataset, cover: Cover) -> list[list[str]]:
    scope = dataset.scope
    said = [
        ("report", dataset.report), ("version", dataset.version), ("id", dataset.id), ("firm", cover.firm),
        ("period", dataset.period.span), ("first_day", dataset.period.first), ("last_day", dataset.period.last),
        ("whole", dataset.period.whole), ("as_of", dataset.as_of), ("until", dataset.until),
        ("account_id", scope.account_id), ("account_number", scope.account_number), ("currency", scope.currency),
        ("generated_at", cover.generated_at), ("dataset_sha256", cover.sha256),
        ("amounts", "text: decimal strings in major units, to the last digit; no currency is converted"),
    ]  # fmt: skip
    return [[name, word(plain(value))] for name, value in said]


def _table(name: str, of: type[msgspec.Struct], values: Any) -> Table:
    columns = tuple(_columns(of))
    return Table(name, columns, ([word(cell) for cell in _cells(of, plain(value))] for value in values))


def _columns(of: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    for name, inner in _parts(of):
        if inner is None:
            yield prefix + name
        else:
            yield from _columns(inner, prefix if name == _HIDDEN else f"{prefix}{name}_")


def _cells(of: type[msgspec.Struct], value: dict[str, Any] | None) -> Iterator[Any]:
    for name, inner in _parts(of):
        member = value[name] if value is not None else None
        if inner is None:
            yield member
        else:
            yield from _cells(inner, member)


@cache
def _parts(of: type[msgspec.Struct]) -> tuple[tuple[str, type[msgspec.Struct] | None], ...]:
    return tuple((field.name, struct_in(field.type)) for field in msgspec.structs.fields(of))


def struct_in(of: Any) -> type[msgspec.Struct] | None:
    """The struct that a field holds, or may hold."""
    for part in (of, *get_args(of)):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return part
    return None


def word(value: Any) -> str:
    """A cell. Lists of days stand in one, with blanks between them."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return " ".join(map(word, value))
        case date():
            return value.isoformat()
        case _:
            return str(value)
