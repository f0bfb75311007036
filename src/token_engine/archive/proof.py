"""What the audit log's part of a bundle proves: that its lines are the day's entries of a log that only grew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from token_engine.domain.bundle import AUDIT_LEAVES, AUDIT_LOG, AuditProof, Manifest
from token_engine.domain.merkle import HASH_SIZE, Tree, leaf_hash, verify_consistency
from token_engine.domain.note import Checkpoint, NoteError, Verifier, open_note, read_checkpoint


def wrong_with_audit(
    manifest: Manifest, log: Iterator[bytes], leaves: Iterator[bytes], keys: Sequence[Verifier]
) -> list[str]:
    """What does not hold, nothing if all does. `log` are lines of JSON, `leaves` hashes in hexadecimal digits."""
    proof = manifest.audit
    try:
        now = read_checkpoint(open_note(proof.checkpoint, keys).text)
        before = _before(proof, now, keys)
        peaks = [_hash(peak) for peak in proof.peaks]
        grown, day = Tree(proof.first, peaks), Tree()
        missing = _append(grown, day, log, leaves)
        steps = [_hash(step) for step in proof.consistency]
    except (NoteError, ValueError) as error:
        return [f"the audit log's proof is wrong: {error}"]
    whole = manifest.accounts is None
    checks = {
        f"{AUDIT_LOG} has lines that are not among the leaves": missing is not None,
        f"{AUDIT_LOG} lacks {missing} of the day's entries": not (whole and missing),
        "the entries before the day's are not those of the checkpoint before": Tree(proof.first, peaks).root()
        == before.root,
        "the checkpoint is of another size": proof.first == before.size and grown.size == proof.size == now.size,
        f"{AUDIT_LEAVES} does not lead to the checkpoint's root": grown.root() == now.root,
        f"{AUDIT_LEAVES} does not lead to the day's root": day.root().hex() == proof.day_root,
        "the log did not only grow since the checkpoint before: the proof of consistency does not hold":
            verify_consistency(before.size, before.root, now.size, now.root, steps),
    }  # fmt: skip
    return [wrong for wrong, holds in checks.items() if not holds]


def _before(proof: AuditProof, now: Checkpoint, keys: Sequence[Verifier]) -> Checkpoint:
    """The checkpoint before; the empty log where there is none."""
    if proof.previous_checkpoint is None:
        return Checkpoint(now.origin, 0, Tree().root())
    before = read_checkpoint(open_note(proof.previous_checkpoint, keys).text)
    if before.origin != now.origin:
        raise NoteError(f"the checkpoint before is of another log, {before.origin!r}")
    return before


def _append(grown: Tree, day: Tree, log: Iterator[bytes], leaves: Iterator[bytes]) -> int | None:
    """Let both trees grow by the leaves; how many of them have no line, None if there is a line without its leaf."""
    without = 0
    waiting = next(log, None)
    for leaf in map(_leaf, leaves):
        grown.append(leaf)
        day.append(leaf)
        if waiting is not None and leaf_hash(waiting) == leaf:
            waiting = next(log, None)
        else:
            without += 1
    return without if waiting is None else None


def _leaf(line: bytes) -> bytes:
    return _hash(line.decode("ascii"))


def _hash(digits: str) -> bytes:
    found = bytes.fromhex(digits)
    if len(found) != HASH_SIZE or found.hex() != digits:
        raise ValueError(f"{digits[:80]!r} is no hash")
    return found
