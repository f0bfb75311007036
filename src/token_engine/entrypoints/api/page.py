"""The overview for people at `/`: every account, what the tokens need, what the bank holds, the verdict."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from jinja2 import Environment
from starlette.responses import HTMLResponse, Response

from token_engine.entrypoints.api.rooms import Rooms
from token_engine.storage import messages
from token_engine.tiers import accounts

_SHOWN: Final = 200


def _grouped(amount: str) -> str:
    """A decimal string with thin spaces between thousands."""
    whole, point, fraction = amount.partition(".")
    return f"{int(whole):,}".replace(",", "\u2009") + point + fraction if whole != "-0" else amount


_environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
_environment.filters["grouped"] = _grouped
_template = _environment.from_string(
    (files("token_engine.entrypoints.api") / "overview.html").read_text(encoding="utf-8")
)


async def page(rooms: Rooms) -> Response:
    """HTML that renews itself every few seconds, without scripts."""
    now = rooms.clock()
    async with rooms.database.transaction() as tx:
        summary = await accounts.summary(tx, now)
        listed = await accounts.listing(tx, now, limit=_SHOWN)
        recent = await messages.listing(tx, state=None, before=None, limit=12)
    word = accounts.health_word(summary)
    return HTMLResponse(_template.render(summary=summary, accounts=listed, messages=recent, health=word, now=now))
