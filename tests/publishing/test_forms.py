"""Every form of a report is read back, and says what the dataset says."""

from __future__ import annotations

import csv
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from hashlib import sha256
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from pypdf import PdfReader

from publishing.datasets import SIGNED, bad_day, cover_of, good_day, month, month_of_one
from token_engine.domain.dataset import Cover, Dataset
from token_engine.publishing.canonical import as_json, compact, digest, plain
from token_engine.publishing.forms import Form, published
from token_engine.publishing.printed_lists import LISTED
from token_engine.publishing.printed_words import money
from token_engine.publishing.separated import harmless
from token_engine.publishing.tables import Table, tables_of

REPORTS: list[Callable[[], Dataset]] = [good_day, bad_day, lambda: month(40), month_of_one]
NAMES = ["good day", "bad day", "month", "month of one"]


@pytest.fixture(params=REPORTS, ids=NAMES)
def dataset(request: pytest.FixtureRequest) -> Dataset:
    made: Dataset = request.param()
    return made


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """A member of the JSON dataset as its cells: what the tables must say."""
    for name, member in value.items():
        path = prefix if name == "closing" else f"{prefix}{name}_"
        if isinstance(member, dict):
            yield from flat(member, path)
        elif isinstance(member, list):
            yield path[:-1], " ".join(map(str, member))
        else:
            yield f"{prefix}{name}", "" if member is None else member if isinstance(member, str) else json.dumps(member)


def expected(dataset: Dataset) -> dict[str, list[dict[str, str]]]:
    """The tables, from the bytes of the JSON form alone."""
    told = json.loads(as_json(dataset))
    parts = told["currencies"]
    return {
        "holdings": [dict(flat(h)) for part in parts for h in part["holdings"]],
        "days": [dict(flat(day)) for part in parts for day in part["days"]],
        "accounts": [dict(flat(part)) for part in told["accounts"]],
        "lines": [dict(flat(line)) for line in told["lines"]],
        "discrepancies": [dict(flat(found)) for found in told["discrepancies"]],
        "incidents": [dict(flat(found)) for found in told["incidents"]],
        "currencies": [
            dict(flat({"closing": part["closing"], "requirement": part["requirement"], "resource": part["resource"]}))
            | part["on_the_way"]
            for part in parts
        ],
    }


def same(read: dict[str, list[dict[str, str]]], dataset: Dataset) -> None:
    for name, rows in expected(dataset).items():
        assert len(read[name]) == len(rows), name
        for row, told in zip(read[name], rows, strict=True):
            # A part that is not there, such as a day's month, is one null in the JSON and empty cells in a table.
            wanted = {column: cell for column, cell in told.items() if cell or column in row}
            assert {column: cell for column, cell in row.items() if column in wanted} == wanted, name
            assert not any(cell for column, cell in row.items() if column not in wanted), name


def unharmed(text: str) -> str:
    return text.removeprefix("'")


def test_json_is_the_dataset_and_its_hash_is_of_these_bytes(dataset: Dataset) -> None:
    raw = published(dataset, cover_of(dataset), Form.JSON)
    told = json.loads(raw, parse_float=lambda text: pytest.fail(f"{text} is a float"))
    assert told == plain(dataset)
    assert digest(dataset) == sha256(raw).hexdigest()
    # The form of RFC 8785: members in order, no blanks.
    assert raw.decode() == json.dumps(told, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    assert compact(dataset) == raw
    assert published(dataset, cover_of(dataset, firm="Another", signatures=SIGNED), Form.JSON) == raw


def test_equal_amounts_are_the_same_bytes_however_they_are_written() -> None:
    account = good_day().accounts[0]
    line = structs.replace(account.closing, unpaid=Decimal("0E-8"), requirement=Decimal("5.00000000"))
    other = structs.replace(account.closing, unpaid=Decimal(0), requirement=Decimal("5.0"))
    assert compact(line) == compact(other)
    assert json.loads(compact(line))["requirement"] == "5.00"


def test_csv_says_what_the_dataset_says(dataset: Dataset) -> None:
    raw = published(dataset, cover_of(dataset, signatures=SIGNED), Form.CSV)
    read: dict[str, list[dict[str, str]]] = {}
    name, columns = "", []
    for row in csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline="")):
        if row[0] == "table":
            columns, name = row[1:], ""
            tables = [t.name for t in tables_of(dataset, cover_of(dataset)) if list(t.columns) == columns]
            name = next(t for t in tables if t not in read)
            read[name] = []
            continue
        assert row[0] == name
        read[name].append({column: unharmed(cell) for column, cell in zip(columns, row[1:], strict=True)})
    same(read, dataset)
    assert [row["actor"] for row in read["sign_offs"]] == ["ann", "bob"]


def test_a_workbook_says_what_the_dataset_says(dataset: Dataset) -> None:
    cover = cover_of(dataset)
    book = openpyxl.load_workbook(io.BytesIO(published(dataset, cover, Form.XLSX)))
    read: dict[str, list[dict[str, str]]] = {}
    for sheet in book.worksheets:
        head, *rows = list(sheet.iter_rows())
        for cell in (cell for row in rows for cell in row if cell.value is not None):
            assert cell.data_type == "s", "an amount is text: a spreadsheet's number has 15 digits"
        columns = [str(cell.value) for cell in head]
        read[sheet.title] = [
            dict(zip(columns, ("" if cell.value is None else str(cell.value) for cell in row), strict=True))
            for row in rows
        ]
    same(read, dataset)
    about = {row["name"]: row["value"] for row in read["report"]}
    assert (about["dataset_sha256"], about["firm"], about["id"]) == (cover.sha256, "Token Issuer LLC", dataset.id)


def test_a_formula_stays_a_word() -> None:
    dataset = bad_day()
    [cause, *_] = [d.cause for d in dataset.discrepancies if d.cause.startswith("=")]
    assert f""","'{cause}",""".encode() in published(dataset, cover_of(dataset), Form.CSV)
    assert [harmless(text) for text in ("=1+1", "+1", "@x", "-x", "-5+x", "-5.00", "5.00", "\tx", "")] == [
        "'=1+1", "'+1", "'@x", "'-x", "'-5+x", "-5.00", "5.00", "'\tx", "",
    ]  # fmt: skip


def pages(dataset: Dataset, **more: Any) -> list[str]:
    reader = PdfReader(io.BytesIO(published(dataset, cover_of(dataset, **more), Form.PDF)))
    return [" ".join(page.extract_text().split()) for page in reader.pages]


def test_pages_say_what_they_are_of_whom_and_which_they_are(dataset: Dataset) -> None:
    cover = cover_of(dataset)
    told = pages(dataset)
    for number, page in enumerate(told, 1):
        assert f"page {number} of {len(told)}" in page
        assert f"dataset SHA-256 {cover.sha256}" in page
        assert f"Safeguarding report - {dataset.period.span} {dataset.period.name}" in page
    first = told[0]
    for words in (
        "Token Issuer LLC", f"As of: close of {dataset.as_of}", dataset.id, "Generated at: 2026-01-05 09:30Z",
        cover.sha256,
    ):  # fmt: skip
        assert words in first
    assert f"Told until: {dataset.until:%Y-%m-%d %H:%M}Z" in first
    assert "Token Issuer" not in pages(dataset, firm=None)[0]
    # What an archive keeps does not claim an hour at which it was made.
    assert "Generated at" not in pages(dataset, generated_at=None)[0]


def test_pages_have_the_figures_to_the_last_digit(dataset: Dataset) -> None:
    told = "".join(pages(dataset)).replace(" ", "")
    for part in dataset.currencies:
        closing = part.closing
        for amount in (closing.requirement, closing.resource, closing.excess, closing.tokens_outstanding):
            assert money(amount, part.currency) in told
        for extent in (part.requirement, part.resource):
            if dataset.period.span == "month" and extent is not None:
                for amount in (extent.highest, extent.lowest, extent.average):
                    assert money(amount, part.currency) in told


def test_a_bad_day_is_said_first_and_in_full() -> None:
    told = " ".join(pages(bad_day()))
    start = told.index("ATTENTION:")
    assert start < told.index("AED: close of")
    for words in (
        "shortfall of 3,750,010.25 AED, of which 3,500,000.00 nothing shows",
        "1 of 4 AED accounts without evidence", "2 of 4 AED accounts not reconciled",
        "2 of 4 AED accounts not closed in time (D+1)", "circuit breakers open: 1", "NO EVIDENCE", "MISSED", "LATE",
        "not shown", "the bank debited 249,999.75 that nobody ordered", "OPEN", "Nobody has signed this report yet.",
    ):  # fmt: skip
        assert words in told, words
    assert "in time, and backed in full" not in told


def test_only_a_good_day_is_called_one() -> None:
    good = "Every account whose bank was open is reconciled, in time, and backed in full."
    assert good in pages(good_day())[0]
    for other in (bad_day(), month(200), month_of_one()):
        assert good not in " ".join(pages(other))
        assert "ATTENTION:" in pages(other)[0]


def test_signatures_say_whether_they_are_for_this_dataset() -> None:
    told = " ".join(pages(good_day(), signatures=SIGNED))
    assert "read and agreed an EARLIER dataset" in told
    assert "checked against the statements this dataset" in told


def test_pages_over_many_accounts_list_what_needs_attention_and_count_the_rest() -> None:
    dataset = month(600)
    told = pages(dataset)
    bad = [part for part in dataset.accounts if part.needs_attention]
    assert 0 < len(bad) < LISTED
    text = "".join(told).replace(" ", "")
    listed = [part for part in dataset.accounts if part.closing.account_number in text]
    assert listed == bad
    assert len(told) <= 6
    many = structs.replace(dataset, accounts=[bad[0]] * (LISTED + 1234))
    assert "1,234 more accounts are in the XLSX, CSV and JSON forms." in " ".join(pages(many))


def test_what_the_fonts_lack_is_shown_as_such_and_markup_is_words() -> None:
    assert "?? Bank <&>" in pages(good_day())[0]
    name = "<b>x</b> & \x00\u202eevil\n"
    account = good_day().accounts[0]
    odd = structs.replace(account, closing=structs.replace(account.closing, bank=name))
    assert "<b>x</b>" in "".join(pages(structs.replace(good_day(), accounts=[odd])))


def test_the_same_dataset_is_the_same_document(dataset: Dataset) -> None:
    cover = cover_of(dataset)
    for form in (Form.JSON, Form.CSV, Form.PDF):
        first = published(dataset, cover, form)
        assert first == published(dataset, cover, form), form
        assert zlib.crc32(first)


amounts = st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**18), max_value=10**18)


@given(amount=amounts, currency=st.sampled_from(["AED", "JPY", "KWD"]))
def test_separators_take_nothing_from_an_amount(amount: Decimal, currency: str) -> None:
    told = money(amount, currency)
    assert Decimal(told.replace(",", "")) == amount
    assert re.fullmatch(r"-?[0-9]{1,3}(,[0-9]{3})*(\.[0-9]+)?", told)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(
    st.text().filter(lambda name: name != "currency"), x)))  # fmt: skip
def test_any_words_are_canonical_json(value: Any) -> None:
    raw = compact(value)
    assert json.loads(raw) == value
    assert compact(json.loads(raw)) == raw


def test_a_float_has_no_form() -> None:
    with pytest.raises(TypeError):
        plain(0.1)


def test_every_table_has_rows_as_wide_as_its_head() -> None:
    dataset = bad_day()
    cover: Cover = cover_of(dataset, signatures=SIGNED)
    for table in tables_of(dataset, cover):
        assert isinstance(table, Table)
        assert len(set(table.columns)) == len(table.columns)
        for row in table.rows:
            assert len(row) == len(table.columns), table.name
