"""What a token endpoint answered: a token with its end, or why there is none."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

import httpx2
import msgspec

from token_engine.banks.retry_after import retry_after
from token_engine.domain.observation import Why

UNSTATED_LIFE: Final = timedelta(seconds=60)
"""How long a token is used whose end is not told (`expires_in` is optional in RFC 6749, 5.1)."""
_LONGEST_LIFE: Final = timedelta(days=1)
_LONGEST_MARGIN: Final = timedelta(seconds=30)

# RFC 6750, 2.1: what may stand behind "Bearer". Anything else could break out of its header line.
_BEARER: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*", re.ASCII)
# The words of RFC 6749, 5.2 and of RFC 8707. Others are not repeated: a server may echo what it was sent.
_ERRORS: Final = frozenset(
    "invalid_request invalid_client invalid_grant unauthorized_client unsupported_grant_type invalid_scope"
    " invalid_target server_error temporarily_unavailable invalid_dpop_proof use_dpop_nonce".split()
)
_BANK_FAILS: Final = frozenset({"server_error", "temporarily_unavailable"})


class AccessToken:
    """A bearer token and the moment from which it is not used any more. It shows nothing of itself."""

    __slots__ = ("_value", "good_until")

    def __init__(self, value: str, good_until: datetime) -> None:
        self._value = value
        self.good_until = good_until

    def header(self) -> str:
        """The value of `Authorization`."""
        return f"Bearer {self._value}"

    def __repr__(self) -> str:
        return f"AccessToken(good_until={self.good_until.isoformat()})"


class NoToken(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no token; `said_at` is when that was known. `text` never holds a credential."""

    why: Why
    text: str
    said_at: datetime
    retry_after: timedelta | None = None


class _Granted(msgspec.Struct):
    access_token: str
    token_type: str
    expires_in: int | float | str | None = None  # a number in RFC 6749; some say "3600" or 3600.0


class _Refused(msgspec.Struct):
    error: str = ""


def read_token_answer(
    status: int, headers: httpx2.Headers, body: bytes, asked_at: datetime, now: datetime
) -> AccessToken | NoToken:
    """The token of an answer. Its life counts from when it was asked for, less a margin for the way to the bank."""
    if status == 200:
        return _granted(body, asked_at, now)
    pause = retry_after(headers.get("retry-after"), now)
    error = _error(body)
    text = f"the token endpoint answered {status}" + (f", {error}" if error else "")
    if status == 429:
        return NoToken(why=Why.THROTTLED, text=text, retry_after=pause, said_at=now)
    if status >= 500 or error in _BANK_FAILS:
        return NoToken(why=Why.SERVER_ERROR, text=text, retry_after=pause, said_at=now)
    if status == 408:
        return NoToken(why=Why.TIMED_OUT, text=text, retry_after=pause, said_at=now)
    if status >= 400:
        return NoToken(why=Why.ACCESS_REFUSED, text=text, said_at=now)
    return NoToken(why=Why.UNREADABLE, text=text, said_at=now)


def _granted(body: bytes, asked_at: datetime, now: datetime) -> AccessToken | NoToken:
    def unreadable(text: str) -> NoToken:
        return NoToken(why=Why.UNREADABLE, text=f"the token endpoint's answer: {text}", said_at=now)

    try:
        granted = msgspec.json.decode(body, type=_Granted)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return unreadable(str(error) if isinstance(error, msgspec.ValidationError) else "no JSON object")
    if granted.token_type.lower() != "bearer":
        return unreadable("token_type is not Bearer")
    if not _BEARER.fullmatch(granted.access_token):
        return unreadable("access_token is no bearer token (RFC 6750)")
    life = _life(granted.expires_in)
    if life is None:
        return unreadable("expires_in is no number of seconds above zero")
    return AccessToken(granted.access_token, asked_at + life - min(_LONGEST_MARGIN, life / 4))


def _life(expires_in: float | str | None) -> timedelta | None:
    if expires_in is None:
        return UNSTATED_LIFE
    if isinstance(expires_in, str) and not (expires_in.isascii() and expires_in.isdigit() and len(expires_in) < 20):
        return None
    seconds = min(float(expires_in), _LONGEST_LIFE.total_seconds())
    return timedelta(seconds=int(seconds)) if seconds >= 1 else None


def _error(body: bytes) -> str:
    try:
        said = msgspec.json.decode(body, type=_Refused).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return said if said in _ERRORS else ""
