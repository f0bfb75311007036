"""Lists that banks give in pages: every page of one, and none from anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote

import httpx2

from token_engine.banks.answers import Answer, Inquiry
from token_engine.domain.observation import shown

MOST_PAGES: Final = 100


async def pages(
    inquiry: Inquiry, first: str, headers: Callable[[], Mapping[str, str]], next_of: Callable[[Answer], str | None]
) -> list[Answer]:
    """All pages of what begins at `first`; `headers` makes those of one request, `next_of` finds the next page's link.

    A link that leaves the bank's origin (scheme, host and port) would carry our credentials there: it is refused, as
    is one that leads back to a page that was read. Raises NotObservedError.
    """
    read = [await inquiry.get(first, headers())]
    seen = {str(read[0].url)}
    while link := next_of(read[-1]):
        page = read[-1]
        try:
            url = page.url.join(link)
        except (httpx2.InvalidURL, ValueError):
            raise page.unreadable(f"its link to the next page, {shown(link)}, is no URL") from None
        if _origin(url) != _origin(page.url) or url.userinfo:
            raise page.unreadable(f"its link to the next page leads away from the bank, to {shown(url.host)}")
        if inquiry.without_credentials(unquote(link)) != unquote(link):
            # Addresses stand in logs, ours and others'.
            raise page.unreadable("its link to the next page repeats a credential")
        if str(url) in seen or len(seen) >= MOST_PAGES:
            raise page.unreadable(f"its pages do not end ({len(seen)} read)")
        seen.add(str(url))
        read.append(await inquiry.get(url, headers()))
    return read


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    default = {"https": 443, "http": 80}.get(url.scheme)
    return url.scheme, url.host, url.port or default
