"""`Retry-After`: when a server asks to be asked again (RFC 9110, 10.2.3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

_LONGEST: Final = timedelta(days=1)
"""More is taken for this: a server whose clock or arithmetic is broken must not silence an account for ever."""


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """How long the header's `value` asks to wait, in seconds or as an HTTP date; None when it says nothing readable.

    Never below zero (a date in the past: at once) and a day at most.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        # Ten digits are three centuries: no need to turn a header's worth of digits into a number.
        return _LONGEST if len(text) > 9 else min(timedelta(seconds=int(text)), _LONGEST)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)  # "-0000" and the obsolete forms: HTTP dates are in GMT
    return max(timedelta(0), min(at - now, _LONGEST))
