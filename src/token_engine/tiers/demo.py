"""The accounts of the demo, backed one to one on the day they are taken on."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final

from token_engine.storage.database import Transaction
from token_engine.tiers import accounts
from token_engine.tiers.accounts import NewAccount

_ACCOUNTS: Final = (
    ("AE070331234567890123456", "AED", "Demo Bank of the Emirates", "5000000.00"),
    ("AE460261000000000000001", "AED", "Demo Bank of the Gulf", "12750000.00"),
    ("021000089-4000123456", "USD", "Demo Bank of New York", "8200000.00"),
    ("50100123456789", "INR", "Demo Bank of India", "415000000.00"),
)
OPENINGS: Final = [(number, currency, Decimal(balance)) for number, currency, _, balance in _ACCOUNTS]
"""What the simulated bank opens them with."""


async def create(tx: Transaction, now: datetime) -> None:
    """Take the demo accounts on; those that are there stay as they are."""
    for number, currency, bank, balance in _ACCOUNTS:
        wanted = NewAccount(
            account_number=number, currency=currency, bank=bank, ledger_balance=balance, bank_balance=balance
        )
        await accounts.create(tx, wanted, "demo", now)
