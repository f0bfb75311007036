"""Every published camt and MT sample read as an independent checker reads it, or the reason why not."""

from __future__ import annotations

import csv
import os
from decimal import Decimal
from pathlib import Path
from unittest.mock import patch

import pytest

from readers.test_camt_plain import same
from token_engine.domain.checks import Tally, checks
from token_engine.domain.entry import signed_amount, signed_details
from token_engine.domain.notification import Notification
from token_engine.domain.refusal import Refusal
from token_engine.domain.statement import Outcome
from token_engine.iso20022 import camt_plain
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

_CUT = "no closing balance, which the standard requires: such a statement may have been cut short"
_TRAINING = "the network marks it as sent in training (TNG); without that mark it reads as the checker says, see below"
_NO_SUCH_DAY = "anonymised into a month beyond the twelfth"
_JEJIK = "sandermarechal__jejik-mt940/tests/Jejik/Tests/MT940/Fixture/document/"
_QOOMON = "qoomon__banking-swift-messages-java/src/test/resources/swiftmessage/"
_PROWIDE = "prowide__prowide-core/"
_CMXL = "railslove__cmxl/spec/fixtures/"
_MT940_RS = "svenstaro__mt940-rs/"
_MT_REFUSED = {
    "ballerina-platform__module-ballerinax-financial.iso20022-to-swiftmt/_embedded/iso20022_to_swiftmt/tests/"
    "usecase_c105_2_1_test.bal.1.mt": ("MT[1]/20", "an MT290 advice of charges, by its header"),
    "betterplace__mt940_parser/test/fixtures/amount_formats.txt": (
        None,
        "a parser's unit test: six opening balances and nothing else, not even the :20: of a message",
    ),
    "betterplace__mt940_parser/test/fixtures/sepa_snippet_broken.txt": ("MT[1]/25", "says its account twice"),
    "dovadi__mt940/docs/MT940_voorbeeldbestanden_abnamro.txt": ("MT[12]/61[1]/debit/credit mark", "'d' for 'D'"),
    "my-flow__mt940/test/fixtures/sepa_snippet_broken_3.sta": ("MT[1]/end", _CUT),
    f"{_PROWIDE}_embedded/src/test/java/com/prowidesoftware/issues/Bug3085740.java.0.mt": (
        "MT[1]/62M",
        "a second closing balance, in rand on an account in francs",
    ),
    f"{_PROWIDE}src/test/resources/sample_JPchar.txt": ("MT[1]/61[1]/value date", _NO_SUCH_DAY),
    f"{_QOOMON}valid-mt940.txt": ("TNG", _TRAINING),
    f"{_QOOMON}valid-mt942.txt": ("TNG", _TRAINING),
    f"{_CMXL}mt940-headers.txt": ("MT[1]/61[1]/value date", _NO_SUCH_DAY),
    f"{_CMXL}mt940-with-colon-after-line-break.txt": ("MT[1]/end", _CUT),
    f"{_JEJIK}K4262927_20200905-080000-952.txt": ("MT[1]/65F", f"a field that is none; and {_CUT}"),
    f"{_JEJIK}oldenburgischelandesbank2.txt": ("MT[1]/65F", f"a field that is none; and {_CUT}"),
    f"{_MT940_RS}_embedded/README.md.0.mt": (None, "source code, in which every field is indented"),
    f"{_MT940_RS}_embedded/README.md.1.mt": (None, "source code, in which every field is indented"),
    f"{_MT940_RS}tests/data/mt940/special-cases/unexpected_tag.sta": ("MT[1]/20", "names no account"),
    f"{_MT940_RS}tests/data/mt942/special-cases/raphaelm.sta": ("MT[1]/62M", "a balance without currency"),
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
    **_MT_REFUSED,
}
OTHER_INVARIANT = _DERIVED_REPORTS | {
    "moov-io__iso20022/test/testdata/FI_camt_052_sample.xml.xml": f"two ITBD, and {_INTERIM}",
    "moov-io__iso20022/test/testdata/"
    "200519_camt.052_P_CH2909000000250094239_1110092686_0_2019042416072347.xml": _INTERIM,
}
_FOREIGN = (
    "a parser's unit test: the closing balance of an account in euros is stated in kronor, and the other balances in "
    "francs and yen. The checker compares the bare figures, which have no difference to speak of"
)
OTHER_INVARIANT |= {
    f"genkgo__camt/{path}": _FOREIGN
    for path in (
        "@money_old/test/Unit/Camt053/Stubs/camt053.v2.minimal.xml",
        "@money_old/test/Unit/Camt053/Stubs/camt053.v3.xml",
        "@money_old/test/Unit/Camt053/Stubs/camt053.v4.xml",
        "test/data/camt053.v2.minimal.ultimate.xml",
        "test/data/camt053.v2.minimal.xml",
        "test/data/camt053.v2.with-party-ids.xml",
        "test/data/camt053.v3.xml",
        "test/data/camt053.v4.xml",
        "test/data/camt053.v8.xml",
    )
}
# Where the checker says "only if future-valued entries are left out" the figures do not add up as stated.
_FAILING = ("fails", "holds-only-if future-valued entries left out")


def _rows() -> list[dict[str, str]]:
    if not EXPECTED.is_file():
        return []
    with EXPECTED.open(newline="") as file:
        return [row for row in csv.DictReader(file, delimiter="\t") if row["type"].startswith(("camt.05", "MT9"))]


ROWS = _rows()
if not ROWS:
    pytest.skip(f"no samples at {EXPECTED}; TOKEN_ENGINE_SHARED names their folder", allow_module_level=True)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["path"])
def test_sample(row: dict[str, str]) -> None:
    path = row["path"]
    got = read_message((EXPECTED.parent / path).read_bytes())
    if row["bad"] == "True" or path in REFUSED:
        assert isinstance(got, Refusal)
        assert got.field is None or got.field in got.message
        assert got.field == REFUSED.get(path, (got.field,))[0]
        return
    assert isinstance(got, tuple), got
    _reads_as(got, row)


@pytest.mark.parametrize("path", [path for path, (_, why) in REFUSED.items() if why == _TRAINING])
def test_sample_of_a_training_session(path: str) -> None:
    got = read_message((EXPECTED.parent / path).read_bytes().replace(b"{TNG:}", b""))
    assert isinstance(got, tuple), got
    _reads_as(got, next(row for row in ROWS if row["path"] == path))


def _reads_as(got: tuple[Notification, ...], row: dict[str, str]) -> None:
    path = row["path"]
    tallies = []
    for notification in got:
        tally = Tally()
        for entry in notification.entries:
            tally.add(entry)
        tallies.append(tally)
    assert {n.heading.type for n in got} == {
        row["type"].removesuffix(" (no/odd ns)").removesuffix("(no :86:, like 950)")
    }
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


_ITEMISED = [row for row in ROWS if "Σ TxDtls == Ntry" in row["traps"] and row["path"] not in REFUSED]


@pytest.mark.parametrize("row", _ITEMISED, ids=lambda row: row["path"])
def test_the_payments_of_a_batch_add_up_where_the_checker_says_so(row: dict[str, str]) -> None:
    got = read_message((EXPECTED.parent / row["path"]).read_bytes())
    assert isinstance(got, tuple), got
    for entry in (entry for notification in got for entry in notification.entries):
        told = signed_details(entry)
        if told and None not in told:
            assert sum(filter(None, told)) == signed_amount(entry), entry


@pytest.mark.parametrize("row", [row for row in ROWS if row["type"].startswith("camt")], ids=lambda row: row["path"])
def test_plain_entries_are_read_as_the_parser_reads_them(row: dict[str, str]) -> None:
    with patch.object(camt_plain, "_SHORT", 0):
        same((EXPECTED.parent / row["path"]).read_bytes())
