"""Money that the bank has booked and nobody had announced: a receipt, until a person says what it is (DESIGN 3.3)."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import msgspec

from token_engine.domain.money import EXACT, in_currency
from token_engine.domain.refusal import RefusedError


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """A booked credit that met nothing when it came. `booked` is what it added to the account (major units); account,
    `amount`, `identity` and `occurrence` are its name among the bank's entries.
    """

    entry_id: int
    account_id: UUID
    amount: Decimal
    identity: str
    occurrence: int
    booked: Decimal
    end_to_end_id: str | None
    servicer_reference: str | None
    entry_reference: str | None
    origin: str
    bank_message_id: str
    message_id: int

    @property
    def reference(self) -> str | None:
        """How the bank names it, for people: the most telling reference that it gave."""
        return self.servicer_reference or self.entry_reference or self.end_to_end_id

    @property
    def source_system(self) -> str:
        """The kind of message that brought it, in the specification's words: CAMT_054."""
        return self.origin.upper().replace(".", "_")

    @property
    def movement_key(self) -> str:
        """The key of the one movement that may be posted for it."""
        return f"entry {self.entry_id}"

    @property
    def return_reference(self) -> str:
        """What the debit that takes it back carries where nobody says otherwise: a return keeps the end-to-end id of
        the payment that it returns (ISO 20022, PaymentReturn `OrgnlEndToEndId`).
        """
        return self.end_to_end_id or f"RETURN-{self.entry_id}"


def check_excess(wanted: Decimal, *, bank: Decimal, ledger: Decimal, returning: Decimal, currency: str) -> None:
    """Raise RefusedError if `wanted` cannot go back without taking what backs tokens, or what goes back already.

    `bank` is what the bank holds, `ledger` the tokens outstanding, `returning` what was returned and not debited yet:
    all in major units of `currency`.
    """
    excess = EXACT.subtract(EXACT.subtract(bank, ledger), returning)
    if wanted > excess:
        spare = in_currency(max(excess, Decimal(0)), currency)
        text = f"{in_currency(wanted, currency)} {currency} cannot go back: {spare} are held beyond tokens and returns"
        raise RefusedError("not_excess", text)
