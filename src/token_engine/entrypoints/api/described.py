"""What /docs says of requests: the schema of a body, and what many paths take besides."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Header

Actor = Annotated[str, Header(alias="X-Actor", min_length=1, max_length=140, description="who does this")]
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key", min_length=1, max_length=255, pattern="^[!-~]+$",
        description="a name of the request: the same again is answered again, not done again",
    ),
]  # fmt: skip


def body(of: type[msgspec.Struct]) -> dict[str, Any]:
    """The documentation of a body: its schema in one piece, because references would look for it elsewhere."""
    _, schemas = msgspec.json.schema_components([of])

    def whole(part: Any) -> Any:
        match part:
            case {"$ref": name}:
                return whole(schemas[name.rpartition("/")[2]])
            case dict():
                return {key: whole(member) for key, member in part.items()}
            case list():
                return [whole(member) for member in part]
            case _:
                return part

    return {"requestBody": {"required": True, "content": {"application/json": {"schema": whole(schemas[of.__name__])}}}}
