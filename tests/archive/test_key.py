"""The private key: made once, for its user's eyes alone, and never said."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from engine import run_command
from token_engine.archive.key import load_key, new_key, public_key
from token_engine.domain.bundle import BundleError
from token_engine.domain.note import NoteError


def test_a_key_is_for_its_user_alone_and_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "archive.key"
    verifier = new_key(path, "example.com/engine")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path).verifier == verifier
    assert new_key(tmp_path / "other", "example.com/engine") != verifier


def test_a_key_is_not_made_over_another(tmp_path: Path) -> None:
    path = tmp_path / "archive.key"
    new_key(path, "a")
    before = path.read_bytes()
    with pytest.raises(BundleError, match="is there already"):
        new_key(path, "b")
    assert path.read_bytes() == before


def test_a_name_that_no_key_can_have_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(NoteError):
        new_key(tmp_path / "archive.key", "my engine")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_key_that_others_can_read_is_not_used(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "archive.key"
    new_key(path, "a")
    path.chmod(mode)
    with pytest.raises(BundleError, match="chmod 600"):
        load_key(path)


@pytest.mark.parametrize("content", [b"", b"\xff", b"PRIVATE+KEY+a+00000000+QUJD", b"password"])
def test_a_file_that_holds_no_key_is_not_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "archive.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(BundleError) as refused:
        load_key(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "QUJD" not in str(refused.value)
    assert "password" not in str(refused.value)


def test_where_there_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="token-engine archive-key new"):
        load_key(tmp_path / "archive.key")


def test_a_public_key_is_given_as_text_or_as_a_file(tmp_path: Path) -> None:
    verifier = new_key(tmp_path / "archive.key", "a")
    (tmp_path / "public").write_text(verifier.text() + "\n")
    assert public_key(verifier.text()) == public_key(str(tmp_path / "public")) == verifier
    for wrong in ("nothing", str(tmp_path), verifier.text()[:-1]):
        with pytest.raises(BundleError):
            public_key(wrong)


def test_the_commands_print_the_public_part_only(tmp_path: Path) -> None:
    made = run_command("archive-key", "new", "example.com/engine", "--data", tmp_path)
    shown = run_command("archive-key", "show", "--data", tmp_path)
    secret = (tmp_path / "archive.key").read_text().strip().split("+", 4)[4]
    assert (made.returncode, shown.returncode) == (0, 0)
    assert made.stdout == shown.stdout == f"{load_key(tmp_path / 'archive.key').verifier.text()}\n".encode()
    again = run_command("archive-key", "new", "example.com/engine", "--data", tmp_path)
    assert again.returncode == 1
    for done in (made, shown, again):
        assert secret.encode() not in done.stdout + done.stderr
