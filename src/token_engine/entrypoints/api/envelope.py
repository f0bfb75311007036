"""The specification's envelope: `{"success": true, "data": …}` or `{"success": false, "error": …}`."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.responses import Response

from token_engine.domain.refusal import Refusal

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
JSON: Final = "application/json"


def ok(content: Any, status: int = 200) -> Response:
    """An answer. Amounts in it are decimal strings already."""
    return Response(_encode({"success": True, "data": content}), status, media_type=JSON)


def error(status: int, refusal: Refusal, **more: Any) -> Response:
    """A refusal: what went wrong, in which field, and `more` that helps to find it again."""
    body: dict[str, Any] = {"code": refusal.code, "message": refusal.message}
    if refusal.field is not None:
        body["field"] = refusal.field
    body |= {name: value for name, value in more.items() if value is not None}
    return Response(_encode({"success": False, "error": body}), status, media_type=JSON)


def not_found(what: str, name: str) -> Response:
    """404 for a thing that a path names."""
    return error(404, Refusal(f"unknown_{what}", f"no {what} {name!r} is known here"))
