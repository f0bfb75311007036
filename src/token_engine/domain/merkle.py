"""The tree of RFC 6962 (section 2.1) over an append-only log: its root, and proofs that need no more of the log than
they must. Hashes are SHA-256, 32 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Final

HASH_SIZE: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()


def leaf_hash(content: bytes) -> bytes:
    """The hash of one entry of the log. Leaves and nodes begin differently, so that neither passes for the other."""
    return sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees."""
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows by one leaf at a time and remembers its peaks only: the roots of the full subtrees that it
    falls into, the largest first. So a log of any length takes a handful of hashes.

    Raises ValueError if the peaks are not those of a tree of `size`.
    """

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self._peaks = list(peaks)
        if size < 0 or len(self._peaks) != size.bit_count() or any(len(p) != HASH_SIZE for p in self._peaks):
            raise ValueError(f"not the peaks of a tree of {size} leaves")

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """Enough to go on from here."""
        return tuple(self._peaks)

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next entry."""
        height = self.size
        while height & 1:
            leaf = node_hash(self._peaks.pop(), leaf)
            height >>= 1
        self._peaks.append(leaf)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> Tree:
        """Add the hashes of the next entries; gives itself."""
        for leaf in leaves:
            self.append(leaf)
        return self

    def root(self) -> bytes:
        """MTH of RFC 6962."""
        if not self._peaks:
            return EMPTY_ROOT
        *left, root = self._peaks
        for peak in reversed(left):
            root = node_hash(peak, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaves given by their hashes."""
    return Tree().extend(leaves).root()


def inclusion_proof(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """What shows that leaf `index` is in the tree over `leaves` (PATH of RFC 6962), nearest first.

    Raises ValueError if there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise ValueError(f"no leaf {index} among {len(leaves)}")
    proof = []
    start, end = 0, len(leaves)
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(root_of(leaves[middle:end]))
            end = middle
        else:
            proof.append(root_of(leaves[start:middle]))
            start = middle
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows that the leaf with this hash is number `index` (from 0) of the tree of `size`."""
    if not 0 <= index < size:
        return False
    widths = [size]
    offset = index
    sides = []
    while widths[-1] > 1:
        k = _split(widths[-1])
        right = offset >= k
        sides.append(right)
        offset -= k if right else 0
        widths.append(widths[-1] - k if right else k)
    if len(proof) != len(sides):
        return False
    for sibling, right in zip(proof, reversed(sides), strict=True):
        leaf = node_hash(sibling, leaf) if right else node_hash(leaf, sibling)
    return leaf == root


def consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    """The ranges of leaves whose roots are the proof that a tree of `new` leaves begins with one of `old` leaves
    (PROOF of RFC 6962): those that end at or before `old` are peaks of the old tree, the others hold new leaves only.

    Raises ValueError unless 0 < old <= new: that the empty tree is a beginning needs no proof.
    """
    if not 0 < old <= new:
        raise ValueError(f"no proof from {old} to {new} leaves")
    ranges = []
    start, end, whole = 0, new, True
    while old - start < end - start:
        middle = start + _split(end - start)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start, whole = middle, False
    if not whole:
        ranges.append((start, end))
    return ranges[::-1]


def peak_ranges(size: int) -> list[tuple[int, int]]:
    """The leaves under each peak of a tree of `size`."""
    bounds = [0]
    for bit in reversed(range(size.bit_length())):
        if size >> bit & 1:
            bounds.append(bounds[-1] + (1 << bit))
    return list(pairwise(bounds))


def consistency_proof(old: int, leaves: Sequence[bytes]) -> list[bytes]:
    """What shows that the tree over `leaves` begins with that over the first `old` of them; RFC 6962's order."""
    return [root_of(leaves[start:end]) for start, end in consistency_ranges(old, len(leaves))]


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree of `new` leaves begins with that of `old` leaves: nothing that the old
    root was for has been altered, dropped or put in another order.
    """
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    if not 0 < old < new:
        return False
    ranges = consistency_ranges(old, new)
    # A power of two is a subtree by itself: its root is the old root, and no part of the proof.
    whole = old & (old - 1) == 0
    known = ([old_root] if whole else []) + list(proof)
    if len(known) != len(ranges) + whole:
        return False
    nodes = dict(zip(([(0, old)] if whole else []) + ranges, known, strict=True))
    return (
        _fold(nodes, 0, new) == new_root and _fold({r: h for r, h in nodes.items() if r[1] <= old}, 0, old) == old_root
    )


def _fold(nodes: dict[tuple[int, int], bytes], start: int, end: int) -> bytes:
    """The root over leaves [start, end) out of the roots of the parts that it falls into."""
    if (start, end) in nodes:
        return nodes[start, end]
    middle = start + _split(end - start)
    return node_hash(_fold(nodes, start, middle), _fold(nodes, middle, end))


def _split(width: int) -> int:
    """The largest power of two below `width`, which is at least 2."""
    return 1 << (width - 1).bit_length() - 1
