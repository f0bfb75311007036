"""Every published camt sample read as an independent checker reads it, or the reason why not."""

from __future__ import annotations

import csv
import os
from decimal import Decimal
from pathlib import Path

import pytest

from token_engine.domain.checks import Outcome, Tally, checks
from token_engine.domain.refusal import Refusal
from token_engine.iso20022.reader import read_message

SHARED = Path(os.environ.get("TOKEN_ENGINE_SHARED", Path(__file__).parents[2].parent / "shared"))
EXPECTED = SHARED / "samples" / "EXPECTED.tsv"

_BANK_STATEMENT_PARSER = "sebastienrousseau__bankstatementparser/_embedded/tests/"
_INTERIM = (
    "the checker takes the interim balance (ITBD) for a closing one. A report says how things stand at some "
    "hour, often since the report before, so opening + its entries need not be its ITBD: not checkable"
)
_DERIVED_REPORTS = {
    f"_derived/camt.052.001.{version}.derived_from_postfinance.xml": _INTERIM
    for version in ("03", "07", "10", "11", "12", "13")
}

# A disagreement with the checker: what we do instead, and why.
REFUSED = {
    "fjacquet__camt-csv/_embedded/internal/camtparser/camtparser_test.go.3.xml": (
        "Stmt[1]/Id",
        "a parser's unit test: no message id, no statement id, no account, and 'invalid-date' as a date",
    ),
    f"{_BANK_STATEMENT_PARSER}test_parser_edge_behavior.py.6.xml": (
        "Stmt[1]/Ntry[1]/Amt/@Ccy",
        "a parser's unit test: an amount without currency, which the schema requires and no account tells",
    ),
}
OTHER_INVARIANT = _DERIVED_REPORTS | {
    "moov-io__iso20022/test/testdata/FI_camt_052_sample.xml.xml": f"two ITBD, and {_INTERIM}",
    "moov-io__iso20022/test/testdata/"
    "200519_camt.052_P_CH2909000000250094239_1110092686_0_2019042416072347.xml": _INTERIM,
}
# Where the checker says "only if future-valued entries are left out" the figures do not add up as stated.
_FAILING = ("fails", "holds-only-if future-valued entries left out")


def _rows() -> list[dict[str, str]]:
    if not EXPECTED.is_file():
        return []
    with EXPECTED.open(newline="") as file:
        return [row for row in csv.DictReader(file, delimiter="\t") if row["type"].startswith("camt.05")]


ROWS = _rows()
if not ROWS:
    pytest.skip(f"no samples at {EXPECTED}; TOKEN_ENGINE_SHARED names their folder", allow_module_level=True)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["path"])
def test_sample(row: dict[str, str]) -> None:
    path = row["path"]
    got = read_message((EXPECTED.parent / path).read_bytes())
    if row["bad"] == "True" or path in REFUSED:
        assert isinstance(got, Refusal)
        assert got.field is not None
        assert got.field in got.message
        assert got.field == REFUSED.get(path, (got.field,))[0]
        return
    assert isinstance(got, tuple), got
    tallies = []
    for notification in got:
        tally = Tally()
        for entry in notification.entries:
            tally.add(entry)
        tallies.append(tally)
    assert {n.heading.type for n in got} == {row["type"].removesuffix(" (no/odd ns)")}
    assert len(got) == int(row["statements"])
    assert sum(t.entries for t in tallies) == int(row["entries"])
    assert sum(t.booked_entries for t in tallies) == int(row["booked"])
    assert sum((t.booked_sum for t in tallies), Decimal(0)) == Decimal(row["booked_sum"])

    outcomes = {checks(n.heading, t)[0].outcome for n, t in zip(got, tallies, strict=True)}
    if path in OTHER_INVARIANT:
        assert outcomes == {Outcome.NOT_CHECKABLE}
    elif row["invariant"] in _FAILING:
        assert Outcome.FAILED in outcomes
    else:
        expected = Outcome.PASSED if row["invariant"] == "holds" else Outcome.NOT_CHECKABLE
        assert outcomes <= {expected, Outcome.NOT_CHECKABLE}
        assert expected in outcomes


def test_disagreements_are_about_samples_there_are() -> None:
    paths = {row["path"] for row in ROWS}
    assert paths >= REFUSED.keys() | OTHER_INVARIANT.keys()
