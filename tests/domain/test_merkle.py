"""The tree of RFC 6962: the published vectors, and its proofs held against a plain reading of the RFC."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_engine.domain.merkle import (
    EMPTY_ROOT,
    Tree,
    consistency_proof,
    consistency_ranges,
    inclusion_proof,
    leaf_hash,
    node_hash,
    peak_ranges,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The vectors of the Certificate Transparency reference code: the roots of the first n leaves, and proofs.
LEAVES = [
    leaf_hash(bytes.fromhex(entry))
    for entry in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
CONSISTENCY = {
    (1, 8): INCLUSION[0, 8],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}

sizes = st.integers(1, 200)


def leaves_of(size: int) -> list[bytes]:
    return [leaf_hash(str(n).encode()) for n in range(size)]


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, to the letter."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = max(1 << i for i in range(len(leaves).bit_length()) if 1 << i < len(leaves))
    return node_hash(mth(leaves[:k]), mth(leaves[k:]))


@pytest.mark.parametrize("size", range(9))
def test_the_published_roots(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size]


def test_the_published_proofs() -> None:
    for (index, size), proof in INCLUSION.items():
        assert [h.hex() for h in inclusion_proof(index, LEAVES[:size])] == proof
    for (old, new), proof in CONSISTENCY.items():
        assert [h.hex() for h in consistency_proof(old, LEAVES[:new])] == proof


@given(st.integers(0, 300))
def test_a_tree_that_grew_has_the_root_of_the_rfc(size: int) -> None:
    leaves = leaves_of(size)
    tree = Tree().extend(leaves)
    assert tree.root() == mth(leaves)
    assert tree.peaks == tuple(mth(leaves[start:end]) for start, end in peak_ranges(size))


@given(st.integers(0, 100), st.integers(0, 100))
def test_a_tree_goes_on_from_its_peaks(old: int, more: int) -> None:
    leaves = leaves_of(old + more)
    before = Tree().extend(leaves[:old])
    assert Tree(old, before.peaks).extend(leaves[old:]).root() == mth(leaves)


@pytest.mark.parametrize(("size", "peaks"), [(1, 0), (3, 1), (4, 2), (0, 1), (-1, 1)])
def test_peaks_of_another_tree_are_refused(size: int, peaks: int) -> None:
    with pytest.raises(ValueError, match="not the peaks"):
        Tree(size, [EMPTY_ROOT] * peaks)


@given(st.data(), sizes)
def test_a_leaf_is_shown_to_be_where_it_is_and_nowhere_else(data: st.DataObject, size: int) -> None:
    leaves = leaves_of(size)
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(-1, size))
    proof = inclusion_proof(index, leaves)
    root = mth(leaves)
    assert verify_inclusion(leaves[index], index, size, proof, root)
    assert not verify_inclusion(leaf_hash(b"other"), index, size, proof, root)
    assert verify_inclusion(leaves[index], other, size, proof, root) == (other == index)
    assert not verify_inclusion(leaves[index], index, size, [*proof, root], root)
    assert not proof or not verify_inclusion(leaves[index], index, size, proof[:-1], root)


@given(st.data(), sizes)
def test_a_log_is_shown_to_have_only_grown(data: st.DataObject, new: int) -> None:
    old = data.draw(st.integers(0, new))
    leaves = leaves_of(new)
    proof = consistency_proof(old, leaves) if old else []
    before, now = mth(leaves[:old]), mth(leaves)
    assert verify_consistency(old, before, new, now, proof)
    if 0 < old < new:
        assert not verify_consistency(old, leaf_hash(b"other"), new, now, proof)
        assert not verify_consistency(old, before, new, leaf_hash(b"other"), proof)
        assert not verify_consistency(old, before, new, now, [*proof, now])
        assert not verify_consistency(old, before, new, now, proof[:-1])
        broken = data.draw(st.integers(0, len(proof) - 1))
        assert not verify_consistency(
            old, before, new, now, [leaf_hash(b"x") if n == broken else h for n, h in enumerate(proof)]
        )


@given(st.data(), st.integers(2, 200))
def test_a_log_that_was_altered_has_no_proof(data: st.DataObject, new: int) -> None:
    """Whatever a forger puts in: the honest proof of the forged log does not fit the old root."""
    old = data.draw(st.integers(1, new - 1))
    leaves = leaves_of(new)
    forged = list(leaves)
    forged[data.draw(st.integers(0, old - 1))] = leaf_hash(b"forged")
    assert not verify_consistency(old, mth(leaves[:old]), new, mth(forged), consistency_proof(old, forged))


@given(st.data(), sizes)
def test_a_proof_takes_peaks_of_the_old_tree_and_new_leaves_only(data: st.DataObject, new: int) -> None:
    """So that it is made without reading the log from its beginning."""
    old = data.draw(st.integers(1, new))
    peaks = set(peak_ranges(old))
    for start, end in consistency_ranges(old, new):
        assert (start, end) in peaks or start >= old


@pytest.mark.parametrize(("old", "new"), [(0, 4), (5, 4), (-1, 4)])
def test_no_proof_where_there_is_nothing_to_prove(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="no proof"):
        consistency_ranges(old, new)
    assert not verify_consistency(old, leaf_hash(b""), new, leaf_hash(b"1"), [])


def test_no_proof_of_a_leaf_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no leaf 8 among 8"):
        inclusion_proof(8, LEAVES)
