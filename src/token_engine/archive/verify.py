"""Verifies a bundle with nothing but public keys. What is wrong is found file by file and said by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from token_engine.archive.proof import wrong_with_audit
from token_engine.archive.reading import Bundle, Found
from token_engine.domain.bundle import (
    AUDIT_LEAVES,
    AUDIT_LOG,
    MANIFEST,
    SEAL,
    BundleError,
    Manifest,
    Member,
    bundle_name,
    is_bundle_name,
    read_seal,
)
from token_engine.domain.note import NoteError, Verifier, open_note

Progress = Callable[[int], None]
"""Called with the bytes read so far."""

_PROVED: Final = (AUDIT_LOG, AUDIT_LEAVES)


class Verdict(msgspec.Struct, kw_only=True):
    """What is known of a bundle after verifying it. It is sound if `wrong` is empty."""

    path: Path
    wrong: list[str] = []
    signed_by: Verifier | None = None
    manifest: Manifest | None = None
    sha256: str | None = None
    """Of the manifest."""
    files: int = 0


def verify(path: Path, keys: Sequence[Verifier], progress: Progress = lambda _read: None) -> Verdict:
    """Hold a bundle against its manifest, the manifest against its seal, and the seal against the keys. Raises OSError
    if the file cannot be read.
    """
    verdict = Verdict(path=path)
    bundle = Bundle(path)
    try:
        _verify(bundle, keys, verdict, progress)
    except BundleError as error:
        verdict.wrong.append(str(error))
    finally:
        bundle.close()
    return verdict


def _verify(bundle: Bundle, keys: Sequence[Verifier], verdict: Verdict, progress: Progress) -> None:
    note, sealed_at = bundle.seal()
    try:
        opened = open_note(note, keys)
    except NoteError as error:
        raise BundleError(f"{SEAL}: {error}") from None
    seal = read_seal(opened.text)
    at = bundle.manifest(seal, sealed_at)
    manifest = bundle.head(at, seal)
    verdict.signed_by, verdict.manifest, verdict.sha256 = opened.signed_by, manifest, seal.sha256
    name = bundle_name(manifest.day, manifest.edition, manifest.accounts)
    if is_bundle_name(verdict.path.name) and verdict.path.name != name:
        verdict.wrong.append(f"the file is called {verdict.path.name}, and what it holds was signed as {name}")
    sound: dict[str, Found] = {}
    for wrong in _files(bundle, at, bundle.signed(at, seal), verdict, sound, progress):
        verdict.wrong.append(wrong)
    if all(name in sound for name in _PROVED):
        log, leaves = (bundle.lines(sound[name].start, sound[name].size) for name in _PROVED)
        verdict.wrong += wrong_with_audit(manifest, log, leaves, keys)
    elif not verdict.wrong:
        verdict.wrong.append(f"{MANIFEST} names no {AUDIT_LOG} with its {AUDIT_LEAVES}")


def _files(
    bundle: Bundle, end: int, signed: Iterator[Member], verdict: Verdict, sound: dict[str, Found], progress: Progress
) -> Iterator[str]:
    """What is wrong with the files before the manifest, which begins at `end`."""
    at = 0
    for member in signed:
        verdict.files += 1
        found = bundle.found(at, end, member) if at < end else None
        if found is None or found.name != member.name:
            yield from _out_of_step(bundle, at, end, [member, *signed], verdict)
            return
        wrong = _compare(bundle, found, member)
        if wrong:
            yield wrong
        elif member.name in _PROVED:
            sound[member.name] = found
        at = found.end
        progress(at)
    if at != end:
        yield from _out_of_step(bundle, at, end, [], verdict)


def _compare(bundle: Bundle, found: Found, member: Member) -> str | None:
    """What is wrong with one file."""
    if found.size != member.size:
        return f"{member.name} is altered: it has {found.size} bytes, signed were {member.size}"
    if bundle.sha256(found.start, found.size) != member.sha256:
        return f"{member.name} is altered: its content is not what was signed"
    if not found.sound:
        return f"{member.name} is altered: the block before it is damaged"
    if not bundle.padded(found.start, found.size):
        return f"{member.name} is altered: bytes were put behind it"
    return None


def _out_of_step(bundle: Bundle, at: int, end: int, rest: Sequence[Member], verdict: Verdict) -> Iterator[str]:
    """Files and manifest have parted: which are missing, added, or in another place?"""
    verdict.files += max(0, len(rest) - 1)
    missing = {member.name: member for member in rest}
    places = {member.name: place for place, member in enumerate(rest)}
    furthest, moved = -1, []
    while at < end:
        found = bundle.found(at, end, None)
        if found is None:
            yield f"from byte {at} on there are {end - at} bytes that are no file"
            break
        member = missing.pop(found.name, None)
        if member is None:
            yield f"{_shown(found.name)} was added: it was not signed" + (", or stands there twice" if rest else "")
        else:
            if wrong := _compare(bundle, found, member):
                yield wrong
            if places[found.name] < furthest:
                moved.append(found.name)
            furthest = max(furthest, places[found.name])
        at = found.end
    for name in missing:
        yield f"{name} is missing"
    for name in moved:
        yield f"{name} stands in another place than was signed"


def _shown(name: str) -> str:
    """A name that others chose, for a terminal."""
    return name if name.isprintable() and "\\" not in name and ".." not in name and name[:1] != "/" else repr(name)
