"""Bundles made by hand, and their parts to be put together wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from token_engine.archive.blocks import BLOCK, END, header, padding, read_header
from token_engine.archive.verify import Verdict, verify
from token_engine.archive.writer import BundleWriter
from token_engine.domain.bundle import (
    AUDIT_LEAVES,
    AUDIT_LOG,
    FORMAT,
    Account,
    AuditProof,
    Earlier,
    Manifest,
    bundle_name,
)
from token_engine.domain.merkle import Tree, consistency_proof, leaf_hash, root_of
from token_engine.domain.note import Checkpoint, Signer

KEY = Signer("example.com/engine", bytes(range(32)))
STRANGER = Signer("example.com/engine", bytes(32))
DAY = date(2025, 11, 18)
FILES = {
    "README.txt": b"read me\n",
    "messages.jsonl": b'{"id": 1}\n{"id": 2}\n',
    "messages/0000/1.raw": b"<Document/>",
    "messages/0000/2.raw": b"x" * 600,
    "statements.jsonl": b"",
}


class Log(NamedTuple):
    """An audit log: its lines, and how many of them stood there before the day."""

    lines: Sequence[bytes]
    first: int

    def proof(self, signer: Signer = KEY) -> AuditProof:
        leaves = [leaf_hash(line) for line in self.lines]
        first = self.first
        origin = signer.verifier.name

        def checkpoint(size: int) -> str:
            return signer.sign(Checkpoint(origin, size, root_of(leaves[:size])).text())

        steps = consistency_proof(first, leaves) if first else []
        return AuditProof(
            first=first, size=len(leaves), day_root=root_of(leaves[first:]).hex(),
            peaks=tuple(peak.hex() for peak in Tree().extend(leaves[:first]).peaks),
            consistency=tuple(step.hex() for step in steps), checkpoint=checkpoint(len(leaves)),
            previous_checkpoint=checkpoint(first) if first else None,
        )  # fmt: skip

    @property
    def day(self) -> Sequence[bytes]:
        return self.lines[self.first :]


LOG = Log([f'{{"id": {n}}}'.encode() for n in range(11)], 5)


def make(
    folder: Path, *, files: dict[str, bytes] = FILES, log: Log = LOG, signer: Signer = KEY, day: date = DAY,
    edition: int = 1, sequence: int = 1, previous: Earlier | None = None, proof: AuditProof | None = None,
    accounts: tuple[Account, ...] | None = None, shown: Sequence[bytes] | None = None, name: str | None = None,
) -> Path:  # fmt: skip
    """A bundle of these files and this log; `shown` are the lines it holds."""
    path = folder / (name or bundle_name(day, edition, accounts))
    with BundleWriter(path) as writer:
        for member, content in files.items():
            writer.add(member, content)
        writer.add(AUDIT_LOG, b"".join(line + b"\n" for line in (log.day if shown is None else shown)))
        writer.add(AUDIT_LEAVES, b"".join(leaf_hash(line).hex().encode() + b"\n" for line in log.day))
        manifest = Manifest(
            format=FORMAT, day=day, accounts=accounts, edition=edition, sequence=sequence, previous=previous,
            replaces=None, engine="token-engine 0", counts={"messages": 2}, audit=proof or log.proof(signer),
        )  # fmt: skip
        writer.finish(manifest, signer)
    return path


class Part(NamedTuple):
    """A file of a tar with its block."""

    name: str
    content: bytes

    def tar(self) -> bytes:
        return header(self.name, len(self.content)) + self.content + bytes(padding(len(self.content)))


def parts_of(path: Path) -> list[Part]:
    raw = path.read_bytes()
    parts, at = [], 0
    while read := read_header(raw[at : at + BLOCK]):
        name, size = read
        parts.append(Part(name, raw[at + BLOCK : at + BLOCK + size]))
        at += BLOCK + size + padding(size)
    assert raw[at:] == END
    return parts


def put_together(path: Path, parts: Sequence[Part]) -> Path:
    path.write_bytes(b"".join(part.tar() for part in parts) + END)
    return path


def owners(path: Path) -> list[str]:
    """For each byte, which file of the bundle it belongs to; the blank end belongs to the last."""
    parts = parts_of(path)
    return [part.name for part in parts for _ in part.tar()] + [parts[-1].name] * len(END)


def check(path: Path, *signers: Signer) -> Verdict:
    return verify(path, [signer.verifier for signer in signers or (KEY,)])
