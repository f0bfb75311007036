"""The pages of one statement: `StmtPgntn` of camt, :28C: 5/1, 5/2 of an MT with :60F:…:62M:, :60M:…:62F:.

They may come in one message or several, in any order, and twice. A page is a `Statement` with a complete heading
(`Heading.ended`): an MT tells at its end whether another page follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

import msgspec
from msgspec import structs

from token_engine.domain.money import EXACT, in_currency, sum_exactly
from token_engine.domain.notification import Heading, StatedBalance
from token_engine.domain.statement import Check, Outcome, Statement, identity
from token_engine.domain.statement_balances import CLOSING, OPENING

PAGES_JOIN: Final = "pages_join"
_INTERIM: Final = "ITBD"


class Complete(msgspec.Struct, frozen=True):
    """All pages are there: `order` has the places of the pages given, first page first, each page once.

    `check` is `pages_join`, for the answer beside the checks of the statement.
    """

    order: tuple[int, ...]
    check: Check


class Missing(msgspec.Struct, frozen=True):
    """Pages that are not there yet: the gaps below the last page known, and the one that follows it unless it says
    that it is the last.
    """

    numbers: tuple[int, ...]


def arrange(pages: Sequence[Statement]) -> Complete | Missing:
    """Put the pages of one statement in order, or say which are missing. Pure; at least one page.

    Ask for a page alone first: what is complete by itself is a statement, whatever else is known. The pages given
    together share `Identity.of_pages`. A page that is there twice counts once. Two that cannot both be true (one
    number with two contents, a page behind the last) make a failed check: which of them is right is for people.
    """
    first: dict[int, int] = {}
    disputed: list[str] = []
    for place, page in enumerate(pages):
        number = _number(page)
        known = first.setdefault(number, place)
        if known != place and _content(pages[known]) != _content(page):
            disputed.append(f"page {number} came twice, and differs")
    last = sorted(number for number, place in first.items() if _is_last(pages[place].heading))
    known_to = max(first)
    expected = range(1, known_to + (1 if last else 2))
    missing = tuple(number for number in expected if number not in first)
    if missing:
        return Missing(missing)
    if last[0] != known_to:
        disputed.append(f"page {last[0]} says that it is the last, and page {known_to} is there")
    order = tuple(first[number] for number in sorted(first))
    return Complete(order, _check([pages[place].heading for place in order], disputed))


def joined(pages: Sequence[Statement]) -> Statement:
    """The statement as a whole, from its pages in order: the balances that open and close it, and what all lines
    come to. What each page counts is added up; pages that all state the same count and sum state the whole's.

    `valued_later` is right where the pages were counted against the closing date of the whole.
    """
    if len(pages) == 1:
        return pages[0]
    headings = [page.heading for page in pages]
    count, total = _stated(headings)
    heading = structs.replace(
        headings[0], balances=_balances(headings), last_page=True, page_number=None, stated_entries=count,
        stated_sum=total, copy=any(heading.copy for heading in headings),
    )  # fmt: skip
    booked = [day for page in pages for day in (page.first_booking, page.last_booking) if day is not None]
    return Statement(
        heading=heading,
        lines=sum(page.lines for page in pages),
        currencies=frozenset[str]().union(*(page.currencies for page in pages)),
        booked_sum=sum_exactly(page.booked_sum for page in pages),
        amount_sum=sum_exactly(page.amount_sum for page in pages),
        valued_later=sum_exactly(page.valued_later for page in pages),
        first_booking=min(booked, default=None),
        last_booking=max(booked, default=None),
    )


def _stated(headings: Sequence[Heading]) -> tuple[int | None, Decimal | None]:
    counts = [h.stated_entries for h in headings if h.stated_entries is not None]
    sums = [h.stated_sum for h in headings if h.stated_sum is not None]
    if len(counts) == len(sums) == len(headings) and len(set(counts)) == len(set(sums)) == 1:
        return counts[0], sums[0]
    return (
        sum(counts) if len(counts) == len(headings) else None,
        sum_exactly(sums) if len(sums) == len(headings) else None,
    )


def _balances(pages: Sequence[Heading]) -> tuple[StatedBalance, ...]:
    """Those of the statement, each once: camt may repeat them on every page, an MT opens on the first and closes on
    the last. What joins the pages is none of the statement's.
    """
    found: dict[StatedBalance, None] = {}
    for page in pages:
        own = (b for b in page.balances if not (b.interim or b.code == _INTERIM))
        found |= dict.fromkeys(structs.replace(b, at=None) for b in own)
    return tuple(found)


def _number(page: Statement) -> int:
    """Its place. A bank that names no statement counts none of its pages, whatever number stands there."""
    heading = page.heading
    if heading.page_number is None or identity(heading).name is None or _is_whole(page):
        return 1
    return heading.page_number


def _is_whole(page: Statement) -> bool:
    """Whether it is a statement by itself, though the bank gives it a number such as 2.

    :60F: stands on a first page only, so an MT that opens and closes with F is whole. A camt that closes where its
    own opening and entries lead is too: `MsgPgntn` counts the parts of a message, which may be whole statements.
    """
    heading = page.heading
    opening = [b for b in heading.balances if b.code in OPENING and not b.interim]
    closing = [b for b in heading.balances if b.code in CLOSING and not b.interim]
    if not (_is_last(heading) and opening and len(closing) == 1):
        return False
    if heading.type.startswith("MT"):
        return True
    total = EXACT.add(opening[0].signed, page.booked_sum)
    return closing[0].signed in (total, EXACT.subtract(total, page.valued_later))


def _is_last(page: Heading) -> bool:
    """Whether no page follows. A bank that counts pages and does not say tells by its closing balance."""
    if page.last_page is not None:
        return page.last_page
    return page.page_number is None or any(b.code in CLOSING and not b.interim for b in page.balances)


def _content(page: Statement) -> Statement:
    """What it says, but for the message that it came in."""
    balances = tuple(structs.replace(b, at=None) for b in page.heading.balances)
    sent = structs.replace(page.heading, message_id="", created_at=None, copy=False, balances=balances)
    return structs.replace(page, heading=sent)


def _check(pages: Sequence[Heading], disputed: list[str]) -> Check:
    if disputed:
        return Check(PAGES_JOIN, Outcome.FAILED, "; ".join(disputed))
    if len(pages) == 1:
        return Check(PAGES_JOIN, Outcome.NOT_CHECKABLE, "the statement is one page")
    compared = 0
    for number, (page, following) in enumerate(pairwise(pages), start=1):
        closes, opens = _foot(page, first=number == 1), _head(following, last=number + 1 == len(pages))
        if closes is None or opens is None:
            continue
        compared += 1
        if (closes.signed, closes.currency) != (opens.signed, opens.currency):
            expected, actual = _shown(closes), _shown(opens)
            text = f"page {number} closes with {expected}, page {number + 1} opens with {actual}"
            return Check(PAGES_JOIN, Outcome.FAILED, text, expected, actual)
    if compared < len(pages) - 1:
        return Check(PAGES_JOIN, Outcome.NOT_CHECKABLE, "not every page states where it opens and closes")
    return Check(PAGES_JOIN, Outcome.PASSED, f"{len(pages)} pages, each opens where the one before closed")


def _foot(page: Heading, *, first: bool) -> StatedBalance | None:
    """What a page that is not the last closes with: CLBD of a page, or the last ITBD."""
    return _only([b for b in page.balances if b.code in CLOSING and b.interim]) or _interim(page, -1, alone=first)


def _head(page: Heading, *, last: bool) -> StatedBalance | None:
    """What a page that is not the first opens with: OPBD of a page, or the first ITBD."""
    return _only([b for b in page.balances if b.code in OPENING and b.interim]) or _interim(page, 0, alone=last)


def _interim(page: Heading, place: int, *, alone: bool) -> StatedBalance | None:
    """An ITBD of the page. In the middle there must be two; at an end, one is what joins it (`alone`)."""
    found = [b for b in page.balances if b.code == _INTERIM]
    return found[place] if len(found) == (1 if alone else 2) else None


def _only(found: list[StatedBalance]) -> StatedBalance | None:
    return found[0] if len(found) == 1 else None


def _shown(balance: StatedBalance) -> str:
    return f"{in_currency(balance.signed, balance.currency)} {balance.currency}"
