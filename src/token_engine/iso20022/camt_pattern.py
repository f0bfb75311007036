"""How one entry is written, with room for other texts in its leaves: a regular expression that tells another one like
it, and picks its texts, without taking it to pieces.

A bank writes its entries from few templates, blanks and line breaks included. Outside of its leaves an entry that
matches is, letter by letter, the one that the pattern was made of; in them it has no tag. So its tags are the same, and
its shape holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import itemgetter
from typing import Final, Generic, TypeVar

from token_engine.iso20022.camt_shape import DetailShape, Shape

S = TypeVar("S", bound=Shape | DetailShape)

# Whether a text that is read has nothing else that is no text, `Shapes` looks at for many at once: looking at it here
# took a third of the time.
_READ: Final = r"([^<]*+)"
# Nothing that a tag or a line break could be, nor what XML forbids below the blank. Possessive: nothing is tried twice.
_PASSED_BY: Final = r"[^<>\x00-\x1f]*+"


class Pattern(Generic[S]):
    """Of an entry, or of a payment in a batch; from the blanks before it to its closing tag."""

    __slots__ = ("lines", "match", "pick", "shape")

    def __init__(self, pieces: Sequence[str], shape: S) -> None:
        """`pieces` are texts and tags in turn, as they are written; the first text stands before the first tag. The
        places of `shape` count from behind that tag.
        """
        leaves = [at for at in range(2, len(pieces), 2) if _opens(pieces[at - 1]) and pieces[at + 1][0] == "/"]
        read = [at for at in leaves if at - 2 in shape.places]
        group_of = {at - 2: group for group, at in enumerate(read)}
        parts = [re.escape(f"<{piece}>" if at % 2 else piece) for at, piece in enumerate(pieces)]
        for at in leaves:
            parts[at] = _READ if at in read else _PASSED_BY
        self.match = re.compile("".join(parts) + "()").match
        self.pick = itemgetter(*[group_of.get(place, len(read)) for place in shape.places])
        """Of the groups of a match, or of the columns that those of many make, the shape's texts in its order; the last
        group is empty, for texts that there are not.
        """
        self.shape = shape
        self.lines = "".join(pieces[at] for at in range(0, len(pieces), 2) if at not in leaves).count("\n")
        """Line breaks in what it matches: to count them in each text took a tenth of all reading."""


def _opens(tag: str) -> bool:
    return tag[0] != "/" and tag[-1] != "/"
