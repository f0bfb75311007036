"""The settings that the README shows are settings."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from token_engine.banks.settings import BankSettings

README = Path(__file__).parents[2] / "README.md"


def test_each_kind_is_shown_as_it_is() -> None:
    section = README.read_text().partition("## How a bank is asked for its balance\n")[2].partition("\n## ")[0]
    shown = re.findall(r"```json\n(.*?)```", section, re.DOTALL)[0]
    settings = [msgspec.json.decode(each, type=BankSettings) for each in re.split(r"\n(?={)", shown)]
    kinds = [str(each.__struct_config__.tag) for each in settings]
    assert kinds == ["berlin_group", "uk_open_banking", "uae_open_finance", "json"]
