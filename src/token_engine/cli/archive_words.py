"""What `token-engine verify` says of bundles, to people and to programs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from token_engine.archive.verify import Verdict
from token_engine.domain.bundle import Manifest


def story(verdict: Verdict) -> Iterator[str]:
    """What was found, line by line."""
    yield str(verdict.path)
    manifest = verdict.manifest
    if manifest is not None and verdict.signed_by is not None:
        edition = f", edition {manifest.edition}" if manifest.edition > 1 else ""
        yield f"  day {manifest.day}{edition}, {_whose(manifest)}, made by {manifest.engine}"
        yield f"  signed by {verdict.signed_by.name}, key {verdict.signed_by.key_id}"
        yield f"  {verdict.files} files: {counted(manifest)}"
        audit = manifest.audit
        yield (
            f"  audit log: entries {audit.first + 1} to {audit.size}" if audit.size > audit.first else "  audit log: –"
        )
        before = manifest.previous
        yield f"  after the bundle of {before.day}, manifest {before.manifest}" if before else "  the first bundle"
        yield f"  manifest {verdict.sha256}"
    for wrong in verdict.wrong:
        yield f"  WRONG: {wrong}"
    yield "  NOT VERIFIED" if verdict.wrong else "  verified"


def counted(manifest: Manifest) -> str:
    """How much there is of each."""
    return ", ".join(f"{number} {of.replace('-', ' ')}" for of, number in manifest.counts.items())


def row(verdict: Verdict) -> dict[str, Any]:
    """The same for a program."""
    manifest = verdict.manifest
    return {
        "bundle": str(verdict.path),
        "verified": not verdict.wrong,
        "wrong": verdict.wrong,
        "day": manifest and manifest.day,
        "edition": manifest and manifest.edition,
        "accounts": manifest and manifest.accounts,
        "signed_by": verdict.signed_by and verdict.signed_by.text(),
        "manifest_sha256": verdict.sha256,
        "files": verdict.files,
        "counts": manifest and manifest.counts,
        "previous": manifest and manifest.previous,
    }


def chain(verdicts: Sequence[Verdict]) -> tuple[list[str], list[str]]:
    """What does not hold between bundles of the same accounts, and which bundles between them were not given."""
    chains: dict[Any, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.manifest is not None:
            chains[verdict.manifest.accounts].append(verdict)
    wrong, gaps = [], []
    for links in chains.values():
        links.sort(key=lambda verdict: verdict.manifest.sequence if verdict.manifest else 0)
        for one, next_one in pairwise(links):
            before, after = one.manifest, next_one.manifest
            if before is None or after is None or one.sha256 == next_one.sha256:
                continue
            if after.sequence == before.sequence:
                wrong.append(f"{one.path} and {next_one.path} are two bundles of one number: one of them is not true")
            elif after.sequence > before.sequence + 1:
                missing = after.sequence - before.sequence - 1
                gaps.append(f"between {one.path} and {next_one.path} {missing} bundles were made that were not given")
            elif after.previous is None or after.previous.manifest != one.sha256:
                wrong.append(f"{next_one.path} does not follow {one.path}: another bundle stood before it")
    return wrong, gaps


def _whose(manifest: Manifest) -> str:
    if manifest.accounts is None:
        return "all accounts"
    return ", ".join(f"{account.number} {account.currency}" for account in manifest.accounts)
