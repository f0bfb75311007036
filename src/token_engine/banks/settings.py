"""An access to a bank as an operator sets it: how the bank speaks, how it is reached, and what it can bear."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import assert_never

import msgspec

from token_engine.banks.access import Access, open_client
from token_engine.banks.asking import AskingPolicy
from token_engine.banks.berlin_group import BerlinGroup, BerlinGroupSettings
from token_engine.banks.connector import Connector
from token_engine.banks.declared import DeclaredJson, JsonSettings
from token_engine.banks.host_to_host import Deliver, Delivered, HostToHost, mailbox_of
from token_engine.banks.host_to_host_settings import HostToHostSettings
from token_engine.banks.uae_open_finance import UaeOpenFinance, UaeOpenFinanceSettings
from token_engine.banks.uk_open_banking import UkOpenBanking, UkOpenBankingSettings

BankSettings = BerlinGroupSettings | UkOpenBankingSettings | UaeOpenFinanceSettings | JsonSettings | HostToHostSettings


class ConnectionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`bank` says how it speaks; `access` how its API is reached, of one that has an API; `asking` what it can bear.

    Credentials stand in it by reference only.
    """

    bank: BankSettings
    access: Access | None = None
    asking: AskingPolicy = msgspec.field(default_factory=AskingPolicy)

    def __post_init__(self) -> None:
        if (self.access is None) != isinstance(self.bank, HostToHostSettings):
            raise ValueError("access is for banks that have an API, and needed there; host_to_host has none")

    @property
    def kind(self) -> str:
        """How the bank speaks, in a word."""
        return str(self.bank.__struct_config__.tag)


def open_connector(
    settings: ConnectionSettings, clock: Callable[[], datetime], deliver: Deliver, delivered: Delivered
) -> Connector:  # fmt: skip
    """The connector of these settings; to be closed. Nothing is read or connected yet. `deliver` takes in a file of a
    bank that delivers files, `delivered` says which were.
    """
    if isinstance(settings.bank, HostToHostSettings):
        return HostToHost(mailbox_of(settings.bank), deliver, delivered, settings.bank)
    assert settings.access is not None  # of an API, see __post_init__
    client = open_client(settings.access, clock)
    match settings.bank:
        case BerlinGroupSettings() as berlin_group:
            return BerlinGroup(client, berlin_group)
        case UkOpenBankingSettings() as uk_open_banking:
            return UkOpenBanking(client, uk_open_banking)
        case UaeOpenFinanceSettings() as uae_open_finance:
            return UaeOpenFinance(client, uae_open_finance)
        case JsonSettings() as declared:
            return DeclaredJson(client, declared)
        case other:
            assert_never(other)
