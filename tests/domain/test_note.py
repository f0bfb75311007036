"""Signed notes: the published ones open and are written again to the byte; whatever is altered in them does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_engine.domain.note import (
    Checkpoint,
    NoteError,
    Signer,
    open_note,
    read_checkpoint,
    read_signer,
    read_verifier,
)

# The example of Go's sumdb/note, the reference of the format, with its private key.
PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
NOTE = f"{TEXT}\n— PeterNeumann {SIGNATURE}\n"
STRANGER = Signer("example.com/stranger", bytes(32))
ROOT = bytes(range(32))


def test_the_published_note() -> None:
    signer = read_signer(PRIVATE)
    assert signer.verifier.text() == PUBLIC
    assert signer.sign(TEXT) == NOTE
    assert open_note(NOTE, [read_verifier(PUBLIC)]).text == TEXT


@given(st.binary(min_size=32, max_size=32), st.text("abc/.-é", min_size=1, max_size=20))
def test_keys_are_read_as_written(seed: bytes, name: str) -> None:
    signer = Signer(name, seed)
    assert read_signer(signer.secret()).verifier == signer.verifier
    assert read_verifier(f" {signer.verifier.text()}\n") == signer.verifier
    assert signer.secret().split("+", 4)[4] not in f"{signer!r} {signer} {signer.verifier!r}"


@given(st.text(min_size=1).map(lambda t: f"{t}\n"))
def test_what_a_note_can_hold_is_opened_as_it_was_signed(text: str) -> None:
    try:
        note = STRANGER.sign(text)
    except NoteError:
        assert any(c < " " and c != "\n" for c in text)
        return
    assert open_note(note, [STRANGER.verifier]).text == text


@given(st.data())
def test_no_other_note_opens(data: st.DataObject) -> None:
    """One character dropped, doubled or made another, anywhere."""
    at = data.draw(st.integers(0, len(NOTE) - 1))
    put = data.draw(st.sampled_from(["", NOTE[at] * 2, "A", "=", "+", "\n", " ", "é", "\r", "\0"]))
    altered = NOTE[:at] + put + NOTE[at + 1 :]
    if altered == NOTE:
        return
    with pytest.raises(NoteError):
        open_note(altered, [read_verifier(PUBLIC)])


def test_a_note_signed_by_others_too() -> None:
    both = NOTE + STRANGER.sign(TEXT).rpartition("\n\n")[2]
    assert open_note(both, [STRANGER.verifier]).signed_by == STRANGER.verifier
    assert open_note(both, [read_verifier(PUBLIC)]).signed_by.name == "PeterNeumann"


def test_a_known_key_whose_signature_does_not_hold_spoils_the_note() -> None:
    wrong = STRANGER.sign("other\n").rpartition("\n\n")[2]
    with pytest.raises(NoteError, match=r"example.com/stranger\+\w{8} does not hold"):
        open_note(NOTE + wrong, [read_verifier(PUBLIC), STRANGER.verifier])


def test_a_key_that_was_not_given_is_named() -> None:
    with pytest.raises(NoteError, match=r"signed by PeterNeumann\+c74f20a3, which is no key that was given"):
        open_note(NOTE, [STRANGER.verifier])


@pytest.mark.parametrize(
    "key",
    ["", "a+b", "PeterNeumann+c74f20a3+", PUBLIC[:-1], PUBLIC.replace("c74f", "c74e"), PUBLIC.replace("Peter", "Pet"),
     PUBLIC.replace("+AR", "+Ag"), PUBLIC.replace("+AR", "+AS"), "+c74f20a3+" + PUBLIC[22:], PRIVATE],
)  # fmt: skip
def test_what_is_no_public_key(key: str) -> None:
    with pytest.raises(NoteError):
        read_verifier(key)


@pytest.mark.parametrize(
    "key", ["", PUBLIC, PRIVATE[:-1], PRIVATE.replace("c74f", "c74e"), PRIVATE.replace("PRIVATE", "PUBLIC")]
)
def test_what_is_no_private_key_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(NoteError) as refused:
        read_signer(key)
    assert "AYEKFALVFGyNhPJEMzD1" not in str(refused.value)


@given(st.integers(0, 10**17), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_is_read_as_written(size: int, root: bytes) -> None:
    checkpoint = Checkpoint("example.com/log", size, root)
    assert read_checkpoint(open_note(STRANGER.sign(checkpoint.text()), [STRANGER.verifier]).text) == checkpoint


@pytest.mark.parametrize(
    "text",
    ["", "o\n1\n", "o\n01\nA\n", "o\n-1\nA\n", "\n1\nA\n", "o\n1\nnot base64\n", Checkpoint("o", 1, ROOT[:31]).text(),
     Checkpoint("o", 1, ROOT).text() + "more\n", Checkpoint("o", 1, ROOT).text()[:-1], "o\n١\n" + "A" * 43 + "=\n"],
)  # fmt: skip
def test_what_is_no_checkpoint(text: str) -> None:
    with pytest.raises(NoteError):
        read_checkpoint(text)
