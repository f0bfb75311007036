"""Every message that ISO 20022's schemas allow is read, and as a reader of another kind reads it."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from lxml import etree

from readers.schema_messages import Schema
from token_engine.domain.entry import signed_amount
from token_engine.domain.refusal import Refusal
from token_engine.iso20022.reader import read_message

SHARED = Path(os.environ.get("TOKEN_ENGINE_SHARED", Path(__file__).parents[2].parent / "shared"))
SCHEMAS = sorted(
    file for file in (SHARED / "samples" / "xsd").glob("camt.05[234].001.*.xsd") if ".001.01" not in file.name
)
if not SCHEMAS:
    pytest.skip(f"no schemas in {SHARED}; TOKEN_ENGINE_SHARED names their folder", allow_module_level=True)

_LONGEST_NUMBER = 50
"""Of an account (specification, "Database Schema"); a proxy may be longer, and from .09 on an account be nameless."""
Section = tuple[int, int, Decimal]
"""Entries, those that are booked, and the signed sum of these."""


def sections_of(document: Any) -> list[Section]:
    """By paths, as a colleague would ask an XML library."""
    told = []
    for section in document[0].xpath("*[local-name()='Stmt' or local-name()='Rpt' or local-name()='Ntfctn']"):
        booked = section.xpath("*[local-name()='Ntry'][normalize-space(*[local-name()='Sts']) = 'BOOK']")
        amounts = []
        for entry in booked:
            amount = Decimal(entry.xpath("string(*[local-name()='Amt'])"))
            credit = entry.xpath("*[local-name()='CdtDbtInd'] = 'CRDT'")
            amounts.append(amount if credit else -amount)
        told.append((len(section.xpath("*[local-name()='Ntry']")), len(booked), sum(amounts, Decimal(0))))
    return told


def accounts_of(document: Any) -> list[str]:
    """What names each account: its id, else its proxy."""
    accounts = document.xpath("*/*/*[local-name()='Acct']")
    ids = "string(*[local-name()='Id']//text()[normalize-space()])"
    proxies = "string(*[local-name()='Prxy']/*[local-name()='Id'])"
    return [(account.xpath(ids) or account.xpath(proxies)).strip() for account in accounts]


@pytest.mark.parametrize("file", SCHEMAS, ids=lambda file: file.stem)
def test_what_the_schema_allows_is_read(file: Path) -> None:
    schema, chance = Schema(file), Random(file.stem)
    for _ in range(20):
        document = schema.message(chance)
        if chance.random() < 0.5:
            etree.indent(document)
        raw: Any = etree.tostring(
            document, xml_declaration=True, encoding=chance.choice(("utf-8", "utf-16", "iso-8859-1"))
        )
        got = read_message(raw)
        if any(not 0 < len(name) <= _LONGEST_NUMBER for name in accounts_of(document)):
            assert isinstance(got, Refusal)
            assert got.field is not None
            assert got.field.endswith("Acct/Id")
            continue
        assert isinstance(got, tuple), got
        assert [
            (len(each.entries), sum(e.booked for e in each.entries),
             sum((signed_amount(e) for e in each.entries if e.booked), Decimal(0)))
            for each in got
        ] == sections_of(document)  # fmt: skip
