"""Picks the texts of plainly written elements, entries or payments: by how others were written, or piece by piece."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Final, Generic

from token_engine.iso20022.camt_pattern import Pattern, S
from token_engine.iso20022.camt_shape import DetailShape, Shape, detail_shape_of, shape_of
from token_engine.iso20022.camt_tags import NoShapeError

_MOST: Final = 2_000
_MOST_NEW: Final = 200
"""Of one message. Where each entry has another shape, finding them takes longer than parsing does."""
_MOST_TAGS: Final = 400
"""So that all shapes together stay small, whatever is sent."""
_OFTEN: Final = 30
"""A pattern takes as long to make as some hundred entries take to be read without one. Twice as often for the next one
of the same shape.
"""
_ALONE: Final = 1
"""A message of one entry has no use for a pattern."""
_MOST_PATTERNS: Final = 100
_MOST_TRIED: Final = 8
"""Patterns for each entry of one message."""
_LONGEST: Final = 8_192
"""In characters: of an entry that becomes a pattern, which takes ten times as much memory."""

_TEXT: Final = bytes(b for b in range(256) if (b >= 32 or b in b"\t\n\r") and b not in b"<>&")
_NO_LEAF: Final = bytes(range(32)) + b">"
_ENTITY: Final = re.compile(r"&(?:lt|gt|quot|apos|amp);")
_ENTITIES: Final = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}

Texts = tuple[str, ...]
Alike = tuple[Pattern[S], Texts | None, int]
"""An element that a pattern tells, the texts that its `pick` takes, and where it ends. Without texts where it is to be
taken apart all the same."""


class _Seen(Generic[S]):
    """The elements of one shape: how to pick the texts of one that is taken to pieces, and how many were written."""

    __slots__ = ("patterns", "pick", "shape", "untold")

    def __init__(self, shape: S) -> None:
        self.shape = shape
        self.pick = itemgetter(*shape.places)
        self.patterns: list[Pattern[S]] = []
        self.untold = 0
        """How many none of these matched."""


class Known(Generic[S]):
    """The shapes that elements of all messages so far had, by prefix and tags: a bank's next message is written as the
    last one.
    """

    def __init__(self, find: Callable[[Sequence[str], str], S | None]) -> None:
        self.seen: dict[tuple[str, str], _Seen[S] | None] = {}
        self.find = find
        self.patterns = 0

    def forget(self) -> None:
        """Begin anew: there are too many."""
        self.seen.clear()
        self.patterns = 0

    def add(self, seen: _Seen[S], pattern: Pattern[S]) -> None:
        """Keep one more pattern of a shape."""
        if self.patterns >= _MOST_PATTERNS:
            self.forget()
        self.patterns += 1
        seen.patterns.append(pattern)
        seen.untold = 0


ENTRIES: Final = Known[Shape](shape_of)
PAYMENTS: Final = Known[DetailShape](detail_shape_of)


class Shapes(Generic[S]):
    """The shapes of one message's elements of one name, whose tags have this prefix."""

    def __init__(self, known: Known[S], prefix: str) -> None:
        self._known = known
        self._prefix = prefix
        self._new = 0
        self._apart = 0
        self._patterns: list[Pattern[S]] = []
        self._last: Pattern[S] | None = None
        self._after: dict[Pattern[S] | None, Pattern[S]] = {}
        """Which followed which, the last time."""

    def alike(self, text: str, at: int) -> list[Alike[S]]:
        """The elements from here on, each with the blanks before it, up to one that is written like no other that has a
        pattern.
        """
        begun = at
        told: list[tuple[Pattern[S], re.Match[str]]] = []
        while at < len(text):
            pattern = self._after.get(self._last)
            found = None if pattern is None else pattern.match(text, at)
            if pattern is None or found is None:
                pattern, found = self._tried(text, at, pattern)
                if pattern is None or found is None:
                    break
                self._after[self._last] = pattern
            self._last = pattern
            told.append((pattern, found))
            at = found.end()
        texts = [found.groups() for _, found in told]
        if text.find("&", begun, at) >= 0 or not _has_room(map("".join, texts)):
            return [(pattern, _looked_at(found), found.end()) for pattern, found in told]
        return [(pattern, of, found.end()) for (pattern, found), of in zip(told, texts, strict=True)]

    def _tried(
        self, text: str, at: int, but: Pattern[S] | None
    ) -> tuple[Pattern[S], re.Match[str]] | tuple[None, None]:
        for pattern in self._patterns:
            if pattern is not but and (found := pattern.match(text, at)) is not None:
                return pattern, found
        return None, None

    def taken_apart(self, element: str) -> tuple[S, Texts]:
        """The texts of an element, from the text before it to its closing tag. Raises NoShapeError where the parser has
        to look at it.
        """
        if not _is_plain(element.encode()):
            raise NoShapeError
        pieces = element.replace(">", "<").split("<")
        seen = self._seen(pieces[3:-2:2])
        self._apart += 1
        if self._apart > _ALONE:
            self._learn(seen, pieces, element)
        if "&" in element or "\r" in element:
            if not _is_resolved(element):
                raise NoShapeError
            pieces[::2] = map(_unescaped, pieces[::2])  # never the tags between them
        return seen.shape, seen.pick([*pieces[2:-2], ""])

    def _seen(self, tags: Sequence[str]) -> _Seen[S]:
        if len(tags) > _MOST_TAGS:
            raise NoShapeError
        known = self._known
        key = self._prefix, "<".join(tags)
        seen = known.seen.get(key)
        if seen is None:
            if key in known.seen or self._new == _MOST_NEW:
                raise NoShapeError
            self._new += 1
            if len(known.seen) >= _MOST:
                known.forget()
            shape = known.find(tags, self._prefix)
            seen = known.seen[key] = None if shape is None else _Seen(shape)
            if seen is None:
                raise NoShapeError
        return seen

    def _learn(self, seen: _Seen[S], pieces: Sequence[str], element: str) -> None:
        """Look for its like from now on, where there is a pattern of it, or it is time to make one."""
        if len(element) > _LONGEST:
            return
        pattern = next((each for each in seen.patterns if each.match(element, 0)), None)
        if pattern is None:
            seen.untold += 1
            if seen.untold < _OFTEN << len(seen.patterns):
                return  # indented each in its own way, they would be as many patterns
            pattern = Pattern(pieces, seen.shape)
            self._known.add(seen, pattern)
        if len(self._patterns) < _MOST_TRIED and pattern not in self._patterns:
            self._patterns.append(pattern)


def _looked_at(found: re.Match[str]) -> Texts | None:
    """The texts of one that a pattern told, as a parser resolves them; None where it is not plain."""
    texts = found.groups()
    if not _has_room(texts):
        return None
    if "&" not in found[0]:
        return texts
    return tuple(map(_unescaped, texts)) if _is_resolved(found[0]) else None


def _has_room(texts: Iterable[str]) -> bool:
    """Whether these, in which there is no `<`, fit into leaves: without any `>`, line break or control character."""
    written = "".join(texts).encode()
    return len(written.translate(None, _NO_LEAF)) == len(written)


def _is_plain(text: bytes) -> bool:
    """Whether `<` and `>` take turns, beginning with `<`, and every character is one that XML allows."""
    marks = text.translate(None, _TEXT).replace(b"&", b"")
    return marks == b"<>" * (len(marks) // 2)


def _is_resolved(text: str) -> bool:
    """Whether every `&` begins one of the entities that need no declaration."""
    return len(_ENTITY.findall(text)) == text.count("&")


def _unescaped(text: str) -> str:
    """What a parser makes of the line ends and the five entities that XML knows without declaring them."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _ENTITY.sub(lambda found: _ENTITIES[found[0]], text) if "&" in text else text
