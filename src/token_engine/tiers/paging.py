"""Statements that come in pages, in one message or several, in any order (domain/pages.py)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from hashlib import blake2b
from io import BytesIO
from typing import NamedTuple

from token_engine.domain.account import Account
from token_engine.domain.entry import ReversalSign
from token_engine.domain.money import sum_exactly
from token_engine.domain.pages import Complete, Missing, arrange, joined
from token_engine.domain.statement import Statement, identity
from token_engine.domain.statement_balances import closing_of
from token_engine.storage import parts, staging, statements
from token_engine.storage.database import Transaction
from token_engine.tiers.progress import Progress, unheard
from token_engine.tiers.stating import Reading, Stated, stage


class Page(NamedTuple):
    """A page, the message that brought it, and its place there (from 0)."""

    kept_as: int
    place: int
    stated: Stated


class Joined:
    """Pages in their order, as the one statement that they are: to its day it is what a `Stated` is."""

    def __init__(self, pages: Sequence[Stated]) -> None:
        self._pages = pages
        self.number = pages[0].number
        self.heading = joined([page.statement(ReversalSign.PUBLISHED, None) for page in pages]).heading
        self.lines = sum(page.lines for page in pages)
        self.currencies = set[str]().union(*(page.currencies for page in pages))
        self.amounts = sum_exactly(page.amounts for page in pages)
        self.finest: Decimal = min((page.finest for page in pages), key=lambda amount: amount.as_tuple().exponent)

    @property
    def numbers(self) -> list[int]:
        return [page.number for page in self._pages]

    @property
    def last_booking(self) -> date | None:
        return max((page.last_booking for page in self._pages if page.last_booking is not None), default=None)

    def content(self) -> bytes:
        return blake2b(b"".join(page.content() for page in self._pages), digest_size=32).digest()

    def statement(self, sign: ReversalSign, valued_until: date | None) -> Statement:
        return joined([page.statement(sign, valued_until) for page in self._pages])

    async def renumber(self, tx: Transaction) -> None:
        """Let the staged lines of all pages be lines of one statement."""
        after = 0
        for page in self._pages:
            if page.number != self.number:
                await staging.renumber(tx, page.number, self.number, after)
            after += page.lines


def arranged(account: Account, pages: Sequence[Stated]) -> Complete | Missing:
    """Whether these pages are a statement, and in which order; or which are missing."""
    return arrange([_whole(account, page) for page in pages])


def name_of(stated: Stated) -> str:
    """What all pages of one statement share."""
    return " ".join(str(word) for word in identity(stated.heading).of_pages)[:300]


def _whole(account: Account, page: Stated) -> Statement:
    closing = closing_of(page.heading, account.currency)
    sign = page.heading.reversal_sign(account.reversal_sign)
    return page.statement(sign, closing.as_of if closing is not None else None)


async def waiting(tx: Transaction, account: Account, name: str, numbers: Iterator[int]) -> list[Page]:
    """The pages that earlier messages brought of the same statement, staged."""
    return await staged(tx, await statements.waiting_pages(tx, account.id, name), numbers)


async def staged(
    tx: Transaction, where: Sequence[tuple[int, int]], numbers: Iterator[int], say: Progress = unheard
) -> list[Page]:
    """The statements at these places of messages that are kept, staged from those messages as they came."""
    pages = []
    for kept_as, place in where:
        with tempfile.TemporaryFile() as file:
            say("fetching what was kept", 0, 0)
            raw = await statements.raw_of(tx, kept_as)
            if raw is None:
                await parts.read(tx, kept_as, file)
            size = file.tell() if raw is None else len(raw)
            file.seek(0)
            source = BytesIO(raw) if raw is not None else file

            def come(done: int, of: int = size) -> None:
                say("reading", done, of)

            reading: Reading = await stage(tx, source, numbers, come)
        page = reading.statements[place]
        await staging.void(tx, [s.number for s in reading.statements if s is not page])
        pages.append(Page(kept_as, place, page))
    return pages
