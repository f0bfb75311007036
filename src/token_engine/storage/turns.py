"""Transactions that run at once and lock one after another, in the order in which they began."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class Turn:
    """The place of one transaction: what is done inside of it waits for those before, and lets the next one go on.

    Two statements of one account are so recorded as they came, though the second may be read while the first is kept.
    """

    def __init__(self, before: Turn | None = None) -> None:
        self._before = before
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        if self._before is not None:
            await self._before._over.wait()  # one chain
            self._before = None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()

    async def pass_on(self) -> None:
        """Nothing comes of it any more: the next one goes on once those before have had their turn."""
        async with self:
            pass
