"""The tags of a plainly written entry as a tree: what stands in what, and where its text is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NoReturn

_TAG: Final = re.compile(r'(/?)([A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)(?: Ccy="([A-Z]{3})")?(/?)', re.ASCII)
_DEEPEST: Final = 16
NOWHERE: Final = -1
"""The place of a text that an entry does not have: the reader puts an empty one at the end of its texts."""

# What would be read as more than an entry, were it not where it is.
_NEVER_INSIDE: Final = frozenset("Ntry Ntfctn Rpt Stmt BkToCstmrAcctRpt BkToCstmrStmt BkToCstmrDbtCdtNtfctn".split())


class NoShapeError(Exception):
    """The entry is to be read by `camt_entry`."""


class Node:
    """An element, without its attributes but for the currency of an amount."""

    __slots__ = ("children", "currency", "name", "place")

    def __init__(self, name: str, currency: str | None, place: int) -> None:
        self.name = name
        self.currency = currency
        self.place = place
        """Of the text behind its tag: all of its text, where it has no children."""
        self.children: list[Node] = []

    def only(self, *names: str) -> Node | None:
        """The child with one of these names; several have no shape."""
        found = [child for child in self.children if child.name in names]
        if len(found) > 1:
            none(f"several {names}")
        return found[0] if found else None

    def text(self, *path: str) -> int:
        """The place of the text at a path of names, of which each occurs once at most."""
        node: Node | None = self
        for name in path:
            node = node and node.only(name)
        if node is None:
            return NOWHERE
        if node.children:
            none("elements where text is expected")
        return node.place


def none(why: str) -> NoReturn:
    """Leave the entry to `camt_entry`."""
    raise NoShapeError(why)


def tree(tags: Sequence[str], prefix: str) -> Node:
    """What these tags, in order, stand for: an element around them. Raises NoShapeError where they are not plain, or
    not nested rightly.
    """
    root = Node("", None, 0)
    way = [root]
    for at, tag in enumerate(tags):
        found = _TAG.fullmatch(tag)
        if found is None or (found[2] or "") != prefix:
            none("a tag with more than its name, or of another namespace")
        closes, _, name, currency, empty = found.groups()
        if closes:
            if currency or empty or len(way) == 1 or way.pop().name != name:
                none("not nested")
            continue
        if name in _NEVER_INSIDE:
            none("more than an entry")
        # Texts and tags take turns: the text behind the first tag is the third of them.
        node = Node(name, currency, NOWHERE if empty else 2 * at + 2)
        way[-1].children.append(node)
        if not empty:
            way.append(node)
            if len(way) > _DEEPEST:
                none("too deep")
    if len(way) > 1:
        none("not closed")
    return root


ABSENT: Final = Node("", None, NOWHERE)
"""An element that is not there."""
