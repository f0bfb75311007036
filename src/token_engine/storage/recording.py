"""What every batch writes first: its messages, and the entries that they brought."""

from __future__ import annotations

from collections.abc import Sequence

from token_engine.storage.columns import BytesColumn, Column, JsonColumn
from token_engine.storage.database import Transaction
from token_engine.storage.entries import EntryRow
from token_engine.storage.messages import Settled
from token_engine.storage.queries import load

_sql = load("recording")
_KINDS = {"digest": BytesColumn, "raw": BytesColumn, "answer": JsonColumn}


async def record(tx: Transaction, settled: Sequence[Settled], entries: Sequence[EntryRow]) -> None:
    """Write messages with what became of them, and new entries.

    A message that is recorded already stays as it is. The unique key refuses an entry that is there
    already, and with it the batch.
    """
    messages = zip(*settled, strict=True) if settled else [()] * len(Settled._fields)
    brought = zip(*entries, strict=True) if entries else [()] * len(EntryRow._fields)
    await tx.execute(
        _sql.record,
        [
            *(_KINDS.get(name, Column)(values) for name, values in zip(Settled._fields, messages, strict=True)),
            *(Column(values) for values in brought),
        ],
    )
