"""Signed notes (https://c2sp.org/signed-note) and checkpoints of a log (https://c2sp.org/tlog-checkpoint): text that a
person can read, under it who signed it. Ed25519 only. Keys are written as Go's sumdb/note writes them, so that its
tools read ours.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519: Final = b"\x01"
_PRIVATE: Final = "PRIVATE+KEY"
_KEY_SIZE: Final = 32
_MOST_SIGNATURES: Final = 100
_NAME: Final = re.compile(r"[^\s+\x00-\x20\x7f]{1,140}")
_SIGNATURE: Final = re.compile(r"— (\S+) ([A-Za-z0-9+/]+={0,2})")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,17}")


class NoteError(Exception):
    """A note or a key that is not to be believed; the message says what is wrong with it."""


class Verifier(msgspec.Struct, frozen=True):
    """A public key under its name. `key_id` is eight hexadecimal digits."""

    name: str
    key_id: str
    public: bytes

    def text(self) -> str:
        """As it is given to whoever verifies: `name+id+base64`."""
        return f"{self.name}+{self.key_id}+{b64encode(_ED25519 + self.public).decode()}"


class Signer:
    """A private key under its name. It has no text of its own: what is printed by mistake must not hold it."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._key.public_key().public_bytes_raw()
        self.verifier = Verifier(_named(name), _key_id(name, public), public)

    def sign(self, text: str) -> str:
        """The note: the text, a blank line, the signature's line. Raises NoteError if a note cannot hold the text."""
        _check_text(text)
        signed = b64encode(bytes.fromhex(self.verifier.key_id) + self._key.sign(text.encode())).decode()
        return f"{text}\n— {self.verifier.name} {signed}\n"

    def secret(self) -> str:
        """What its file holds, and nothing else may."""
        verifier = self.verifier
        return f"{_PRIVATE}+{verifier.name}+{verifier.key_id}+{b64encode(_ED25519 + self._seed).decode()}"


def read_verifier(text: str) -> Verifier:
    """The public key in `name+id+base64`. Raises NoteError if it is none, or its id is not its own."""
    parts = text.strip().split("+", 2)
    if len(parts) != 3:
        raise NoteError("not a public key: name+id+base64 is wanted")
    name, key_id, encoded = parts
    verifier = Verifier(_named(name), key_id, _key(encoded))
    if _key_id(name, verifier.public) != key_id:
        raise NoteError(f"the public key {name}+{key_id} is damaged: its id is not that of its bytes")
    return verifier


def read_signer(text: str) -> Signer:
    """The private key that `Signer.secret` wrote. Raises NoteError, never with what was read."""
    parts = text.strip().split("+", 4)
    if len(parts) != 5 or "+".join(parts[:2]) != _PRIVATE:
        raise NoteError("not a private key of an archive")
    signer = Signer(_named(parts[2]), _key(parts[4]))
    if signer.verifier.key_id != parts[3]:
        raise NoteError("the private key is damaged: its id is not that of its bytes")
    return signer


class Opened(msgspec.Struct, frozen=True):
    """A note's text, and who signed it of those that are known."""

    text: str
    signed_by: Verifier


def open_note(note: str, known: Iterable[Verifier]) -> Opened:
    """The text of a note that a known key signed. Raises NoteError: not a note, a known key's signature that does not
    hold, or none by a known key (it names who signed).
    """
    text, lines = _parts(note)
    keys = {(key.name, key.key_id): key for key in known}
    signed_by = None
    strangers = []
    for name, key_id, signature in map(_signature, lines):
        key = keys.get((name, key_id))
        if key is None:
            strangers.append(f"{name}+{key_id}")
            continue
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text.encode())
        except InvalidSignature:
            raise NoteError(f"the signature of {name}+{key_id} does not hold: the text was altered") from None
        signed_by = signed_by or key
    if signed_by is None:
        raise NoteError(f"signed by {', '.join(strangers)}, which is no key that was given")
    return Opened(text, signed_by)


class Checkpoint(msgspec.Struct, frozen=True):
    """What a log was at a moment: its name, how many entries it had, and the root of the tree over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The text to sign."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def read_checkpoint(text: str) -> Checkpoint:
    """The checkpoint in the text of a note. Raises NoteError if there is none; extensions are not ours."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0] or not _SIZE.fullmatch(lines[1]):
        raise NoteError("not a checkpoint: origin, size and root are wanted, a line each")
    return Checkpoint(lines[0], int(lines[1]), _decoded(lines[2], _KEY_SIZE, "the root of the checkpoint"))


def _parts(note: str) -> tuple[str, Sequence[str]]:
    """Text and signature lines: the last blank line is between them."""
    head, blank, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not blank or lines.pop() or not 1 <= len(lines) <= _MOST_SIGNATURES:
        raise NoteError("not a signed note: text, a blank line and signatures are wanted")
    _check_text(f"{head}\n")
    return f"{head}\n", lines


def _signature(line: str) -> tuple[str, str, bytes]:
    """Name, key id and signature of one line."""
    found = _SIGNATURE.fullmatch(line)
    if not found:
        raise NoteError("not a signed note: a line of its signatures is none")
    signed = _decoded(found[2], None, "a signature")
    if len(signed) <= 4:
        raise NoteError("not a signed note: a signature is cut")
    return found[1], signed[:4].hex(), signed[4:]


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(c < " " and c != "\n" for c in text):
        raise NoteError("the text of a note ends with a line's end and holds no other control characters")


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise NoteError("a key's name has 1 to 140 characters, no blanks and no plus: example.com/token-engine")
    return name


def _key_id(name: str, public: bytes) -> str:
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4].hex()


def _key(encoded: str) -> bytes:
    key = _decoded(encoded, 1 + _KEY_SIZE, "a key")
    if key[:1] != _ED25519:
        raise NoteError("a key that is not of Ed25519")
    return key[1:]


def _decoded(encoded: str, size: int | None, what: str) -> bytes:
    """Base64 in its one spelling: other bits in the padding would be another note of the same meaning."""
    try:
        decoded = b64decode(encoded, validate=True)
    except ValueError:
        raise NoteError(f"{what} is no base64") from None
    if b64encode(decoded).decode() != encoded or (size is not None and len(decoded) != size):
        raise NoteError(f"{what} is damaged")
    return decoded
