"""The code that a standard has for why a bank refused: `CONSENT_EXPIRED` says more to a person than 401."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import httpx2

from token_engine.banks.exact_json import NotExactError, parse

_LARGEST: Final = 16_384
_LONGEST: Final = 2.0
"""Seconds: the status is known already, and says enough."""
_CODE: Final = re.compile(r"[A-Za-z0-9_.:-]{1,60}")


async def error_code(response: httpx2.Response) -> str | None:
    """The code in the body of an answer that is an error, where one stands in it that looks like one; never a sentence.

    NextGenPSD2: `tppMessages[].code`; UK Open Banking: `Errors[].ErrorCode`; UAE Open Finance: `Errors[].Code`; OAuth
    (RFC 6750): `error`.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(_LONGEST):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > _LARGEST:
                    return None
        said = _code_in(parse(bytes(body)))
    except (httpx2.HTTPError, NotExactError, TimeoutError):
        return None  # a reason without its code is the same reason
    return said if isinstance(said, str) and _CODE.fullmatch(said) else None


def _code_in(content: Any) -> Any:
    match content:
        case {"tppMessages": [{"code": code}, *_]}:
            return code
        case {"Errors": [{"ErrorCode": code}, *_]} | {"Errors": [{"Code": code}, *_]}:
            return code
        case {"error": code}:
            return code
        case _:
            return None
