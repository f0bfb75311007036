"""Is it a notification, a report or a statement? Told from the first bytes, so that a door knows where to take it."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Final

from token_engine.domain.notification import MessageKind
from token_engine.domain.refusal import RefusedError
from token_engine.iso20022 import camt, mt
from token_engine.iso20022.sniff import HEAD_BYTES, Form, form_of
from token_engine.iso20022.utf8 import Utf8Stream

_SHORT: Final = 4096


def kind_of(raw: bytes) -> MessageKind | None:
    """What one message (no bundle) is, by the first of what it holds; None where its beginning does not tell.

    Never raises, and promises nothing of the rest. None is for Tier 1, whose reader finds the reason.
    """
    if raw[:1] == b"{" and len(raw) <= _SHORT and _NOTIFIES in raw and _ENTRIES not in raw:
        return MessageKind.NOTIFICATION  # nothing can be a statement that has no entries
    try:
        stream = Utf8Stream(BytesIO(raw[:HEAD_BYTES]))
        match form_of(stream.opening):
            case Form.XML:
                return camt.kind_in(stream.opening)
            case Form.MT:
                return mt.kind_in(stream)
            case Form.JSON:
                return kind_of_json(stream.opening)
    except RefusedError:
        return None


_NOTIFIES: Final = b'"credit_debit_indicator"'
_ENTRIES: Final = b'"entries"'
_TOKEN: Final = re.compile(r'[^"\[\]{}]*(?:"((?:[^"\\]|\\.)*+)"\s*(:)?|([\[\]{}]))', re.DOTALL)
_TOKENS: Final = 200
_JSON_HEAD: Final = 8192
"""How many strings and brackets, and characters, are looked at. The specification's statement tells in eight."""
_OF_STATEMENT: Final = frozenset(("statement_date", "opening_balance", "closing_balance", "entries"))


def kind_of_json(opening: str) -> MessageKind | None:
    """By the names of the outermost members, from the beginning of a JSON text without leading blanks."""
    opening = opening[:_JSON_HEAD]
    depth = at = 0
    name = ""
    told: MessageKind | None = None
    for _ in range(_TOKENS):
        token = _TOKEN.match(opening, at)
        if token is None:
            break
        at = token.end()
        word, names, bracket = token.groups()
        if bracket is None:
            if depth == 1 and names:
                name = word
                if name == "credit_debit_indicator":
                    return MessageKind.NOTIFICATION
                if name in _OF_STATEMENT:
                    told = MessageKind.STATEMENT
        elif bracket in "[{":
            if depth == 1 and name == "entries":
                break
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                break
    return told
