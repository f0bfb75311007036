"""The overview for people at `/`: every account, what the tokens need, what the bank holds, the verdict."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from jinja2 import Environment
from starlette.responses import HTMLResponse, Response

from token_engine.entrypoints.api.rooms import Rooms
from token_engine.storage import messages
from token_engine.tiers import accounts, discrepancies

_SHOWN: Final = 200


def _grouped(amount: str) -> str:
    """A decimal string with thin spaces between thousands."""
    whole, point, fraction = amount.partition(".")
    return f"{int(whole):,}".replace(",", "\u2009") + point + fraction if whole != "-0" else amount


def _age(seconds: int) -> str:
    """The two largest units that a person would say: 5 m, 3 h 20 m, 2 d 4 h."""
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} m" if hours else f"{minutes} m"


_environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
_environment.filters["grouped"] = _grouped
_environment.filters["age"] = _age
_template = _environment.from_string(
    (files("token_engine.entrypoints.api") / "overview.html").read_text(encoding="utf-8")
)


async def page(rooms: Rooms) -> Response:
    """HTML that renews itself every few seconds, without scripts."""
    now = rooms.clock()
    async with rooms.database.transaction() as tx:
        summary = await accounts.summary(tx, now)
        listed = await accounts.listing(tx, now, limit=_SHOWN)
        breaks = await discrepancies.unresolved(tx, now, _SHOWN)
        recent = await messages.listing(tx, state=None, before=None, limit=12)
    word = accounts.health_word(summary)
    return HTMLResponse(
        _template.render(summary=summary, accounts=listed, discrepancies=breaks, messages=recent, health=word, now=now)
    )
