"""Transactions that run at once, and keep to the order in which they began where they are about the same accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set


class Turn:
    """The place of one transaction, or of all attempts at one, among those that run at once.

    Two statements of one account are so recorded as they came, though the second may be read while the first is kept,
    and also where the first has to be tried again.
    """

    def __init__(self, before: Sequence[Turn] = ()) -> None:
        self._before = before
        self._accounts: Set[str] = frozenset()
        self._told = asyncio.Event()
        self._over = asyncio.Event()

    async def come(self, accounts: Set[str]) -> None:
        """Wait until nothing that began earlier is about any of these accounts. Call before they are locked."""
        self._accounts |= accounts
        self._told.set()
        for other in self._before:
            await other._told.wait()  # one of its kind
            if self._accounts & other._accounts:
                await other._over.wait()

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._over.is_set()

    def end(self) -> None:
        """Nothing more comes of it."""
        self._told.set()
        self._over.set()
        self._before = ()  # else each would hold all that ever were


class Turns:
    """Those that run at once."""

    def __init__(self) -> None:
        self._running: list[Turn] = []

    def begin(self) -> Turn:
        """The next one's place, until its `end`."""
        self._running = [turn for turn in self._running if not turn.is_over]
        turn = Turn(tuple(self._running))
        self._running.append(turn)
        return turn
