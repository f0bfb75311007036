"""How a bank is asked for a balance: one small protocol, and one file for each way banks speak."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from token_engine.domain.observation import BankAccount, NoObservation, Observation


class Connector(Protocol):
    """A bank's door to what it has booked. One connector serves all accounts of one access to one bank."""

    async def booked_balance(self, account: BankAccount, now: datetime) -> Observation | NoObservation:
        """Ask once for the account's booked balance; `now` (with a time zone) is when it is asked.

        What goes wrong between here and the bank, or in the bank's answer, is a NoObservation and no exception. It
        neither retries nor waits: that is the guarded connector's (`guarded.py`).
        """
        ...

    async def close(self) -> None:
        """Let go of connections. It is not asked again."""
        ...
