"""The audit log as one tree (RFC 6962): each row gets its place once, and each day its signed checkpoint.

The tree is over the whole log, so a day's checkpoint vouches for every day before it; a day's bundle shows that the log
it ends with is the one that the day before ended with, grown by the rows that the bundle holds.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from token_engine.domain.bundle import AuditProof, BundleError
from token_engine.domain.merkle import Tree, consistency_ranges, leaf_hash, peak_ranges
from token_engine.domain.note import Checkpoint, Signer
from token_engine.storage import audit_leaves as kept
from token_engine.storage.audit_leaves import KeptCheckpoint
from token_engine.storage.database import Transaction

_DAY = timedelta(days=1)


async def seal(tx: Transaction, day: date, signer: Signer, now: datetime) -> None:
    """Give every row of the log up to the end of `day` (UTC) its place, and every day up to it a checkpoint, if it has
    none. The caller holds `storage.archive.lock`. Raises BundleError if the log is another key's.

    A row that was committed after its day was sealed stands in the next day's part.
    """
    if await kept.checkpoint(tx, day) is not None:
        return
    last = await kept.last_checkpoint(tx)
    if last is not None and last.origin() != signer.verifier.name:
        raise BundleError(
            f"the log is sealed as {last.origin()}: a key of this name is wanted, also when it is changed"
        )
    if last is not None and day < last.day:
        # Days have checkpoints without gaps, so this one lies before the first row of the log.
        await _keep(tx, day, Tree(), signer, now)
        return
    tree = Tree() if last is None else last.tree()
    current = None if last is None else last.day + _DAY
    async for rows in kept.unsealed(tx, day):
        first, hashes = tree.size, []
        for _, row_day, line in rows:
            current = current or row_day
            while current < row_day:
                await _keep(tx, current, tree, signer, now)
                current += _DAY
            hashes.append(leaf_hash(line.encode()))
            tree.append(hashes[-1])
        await kept.seal(tx, first, [row[0] for row in rows], hashes)
    current = current or day
    while current <= day:
        await _keep(tx, current, tree, signer, now)
        current += _DAY


async def _keep(tx: Transaction, day: date, tree: Tree, signer: Signer, now: datetime) -> None:
    note = signer.sign(Checkpoint(signer.verifier.name, tree.size, tree.root()).text())
    await kept.keep_checkpoint(tx, day, tree, note, now)


async def proof_of(tx: Transaction, day: date) -> AuditProof:
    """Where the day's part stands in the tree, with what shows it. The day is sealed."""
    now = await kept.checkpoint(tx, day)
    if now is None:
        raise BundleError(f"the audit log of {day} is not sealed")
    before = await kept.checkpoint_before(tx, day)
    if before is None or before.size == 0:
        before = None
    first = before.size if before else 0
    day_tree = Tree()
    async for leaves in kept.leaves(tx, first, now.size):
        day_tree.extend(leaves)
    return AuditProof(
        first=first, size=now.size, day_root=day_tree.root().hex(),
        peaks=tuple(peak.hex() for peak in before.hashes()) if before else (),
        consistency=tuple([step.hex() for step in await _consistency(tx, before, now)]),
        checkpoint=now.note, previous_checkpoint=before.note if before else None,
    )  # fmt: skip


async def _consistency(tx: Transaction, before: KeptCheckpoint | None, now: KeptCheckpoint) -> list[bytes]:
    """The proof of RFC 6962 out of the old tree's peaks and the new leaves, however long the log was before them."""
    if before is None:
        return []
    peaks = dict(zip(peak_ranges(before.size), before.hashes(), strict=True))
    proof = []
    for start, end in consistency_ranges(before.size, now.size):
        if (start, end) in peaks:
            proof.append(peaks[start, end])
            continue
        tree = Tree()
        async for leaves in kept.leaves(tx, start, end):
            tree.extend(leaves)
        proof.append(tree.root())
    return proof
