"""What the bundle of a day says of itself: its manifest, the seal on the manifest, and its names.

Nothing here tells when or where a bundle was made: the same day makes the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from typing import Final

import msgspec

FORMAT: Final = "token-engine-bundle/1"
MANIFEST: Final = "manifest.jsonl"
SEAL: Final = "manifest.note"
AUDIT_LOG: Final = "audit/log.jsonl"
AUDIT_LEAVES: Final = "audit/leaves.txt"
LONGEST_NAME: Final = 100

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_BUNDLE: Final = re.compile(r"token-engine-\d{4}-\d{2}-\d{2}[A-Za-z0-9.-]*\.tar")
_TITLE: Final = "Token Engine: bundle of a day"


class BundleError(Exception):
    """A bundle that cannot be made, or that is not what it says; the message says why."""


class Account(msgspec.Struct, frozen=True, order=True):
    """An account that a bundle is about."""

    number: str
    currency: str


class Earlier(msgspec.Struct, frozen=True):
    """Another bundle. `manifest` is the SHA-256 of its manifest, in hexadecimal digits."""

    day: date
    edition: int
    manifest: str


class AuditProof(msgspec.Struct, frozen=True, kw_only=True):
    """Where the day's entries stand in the audit log, which is one tree (RFC 6962) from its first entry on. Hashes are
    hexadecimal digits.
    """

    first: int
    """Entries of the log before the day's."""
    size: int
    """Entries of the log with the day's."""
    day_root: str
    """The root over the day's entries alone."""
    peaks: tuple[str, ...]
    """Of the tree of the first `first` entries: the roots of its full subtrees, the largest first."""
    consistency: tuple[str, ...]
    """The proof of RFC 6962 that the log of `size` entries begins with that of the first `first`."""
    checkpoint: str
    """The log as the day left it: a signed note (c2sp.org/tlog-checkpoint)."""
    previous_checkpoint: str | None
    """The same of the day before."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of `manifest.jsonl`; a line for each file follows."""

    format: str
    day: date
    accounts: tuple[Account, ...] | None
    """None: all of them."""
    edition: int
    """From 1. What is learnt of a day after it was archived makes another edition."""
    sequence: int
    """From 1: bundles of the same accounts, in the order in which they were made."""
    previous: Earlier | None
    """The bundle made before: that of `sequence` less one."""
    replaces: Earlier | None
    """The edition before."""
    engine: str
    counts: dict[str, int]
    audit: AuditProof


class Member(msgspec.Struct, frozen=True):
    """A file of the bundle; its size in bytes."""

    name: str
    size: int
    sha256: str


class Seal(msgspec.Struct, frozen=True):
    """What is signed: which day this is, and which manifest. A person can read it, and no checkpoint reads like it."""

    day: date
    edition: int
    size: int
    sha256: str

    def text(self) -> str:
        """The text of the note."""
        return (
            f"{_TITLE}\nday {self.day.isoformat()}\nedition {self.edition}\n"
            f"{MANIFEST} {self.size} bytes\nsha256 {self.sha256}\n"
        )


_SEAL: Final = re.compile(
    rf"{_TITLE}\nday (\d{{4}}-\d\d-\d\d)\nedition ([1-9][0-9]{{0,8}})\n"
    rf"{re.escape(MANIFEST)} ([1-9][0-9]{{0,11}}) bytes\nsha256 ([0-9a-f]{{64}})\n",
    re.ASCII,
)


def read_seal(text: str) -> Seal:
    """The seal in the text of a note. Raises BundleError if there is none."""
    found = _SEAL.fullmatch(text)
    if not found:
        raise BundleError("what was signed is not the seal of a bundle")
    try:
        day = date.fromisoformat(found[1])
    except ValueError:
        raise BundleError(f"what was signed is of no day: {found[1]}") from None
    return Seal(day, int(found[2]), int(found[3]), found[4])


def check_name(name: str) -> str:
    """A name that is safe to unpack anywhere. Raises BundleError for any other."""
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise BundleError(f"{name!r} is no name for a file of a bundle")
    return name


def bundle_name(day: date, edition: int, accounts: Sequence[Account] | None) -> str:
    """The file name of a bundle: `token-engine-2025-11-18.tar`; later editions and some accounts have it in theirs."""
    match accounts:
        case None:
            of = ""
        case [one]:
            of = f"-{re.sub('[^A-Za-z0-9]', '', one.number)}-{one.currency}"
        case _:
            listed = "\n".join(f"{a.number} {a.currency}" for a in accounts)
            of = f"-{len(accounts)}-accounts-{sha256(listed.encode()).hexdigest()[:8]}"
    return f"token-engine-{day.isoformat()}{of}{f'.{edition}' if edition > 1 else ''}.tar"


def is_bundle_name(name: str) -> bool:
    """Whether a file goes by a name that `bundle_name` gives."""
    return bool(_BUNDLE.fullmatch(name))
