"""The accesses that the documentation shows are accesses, and the values that it says are left out are the defaults."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec

from token_engine.banks.asking import AskingPolicy
from token_engine.banks.authentication import Authentication
from token_engine.banks.settings import ConnectionSettings

PAGE = (Path(__file__).parents[2] / "docs" / "access-to-banks.md").read_text()


def test_what_is_shown_can_be_set() -> None:
    shown = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert len(shown) == 1
    settings = msgspec.json.decode(shown[0], type=ConnectionSettings)
    assert settings.access is not None
    assert settings.asking == AskingPolicy()
    left_out = msgspec.to_builtins(settings)["access"]
    named = json.loads(shown[0])["access"]
    assert set(named) - set(left_out) == {"connect_seconds", "answer_seconds", "connections"}


def test_every_way_to_say_who_we_are_is_on_the_page() -> None:
    for way in Authentication.__args__:
        assert f"`{way.__struct_config__.tag}`" in PAGE
