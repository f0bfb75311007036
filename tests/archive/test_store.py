"""Bundles are put away whole or not at all, and none takes another's place: in a folder, and in a store of S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from archive.conftest import S3, SECRET
from token_engine.archive.store import Store, staged, store_at
from token_engine.domain.bundle import BundleError

BIG = bytes(range(256)) * 4096 * 20  # three parts of an upload
NAME = "token-engine-2025-11-18.tar"


def put(store: Store, content: bytes, name: str = NAME) -> bool:
    with staged(store) as path:
        path.write_bytes(content)
        return store.put(path, name)


def test_a_folder_is_made_and_has_the_bundle_and_nothing_else(tmp_path: Path) -> None:
    store = store_at(str(tmp_path / "a" / "b"))
    assert put(store, b"bundle") is True
    [found] = (tmp_path / "a" / "b").iterdir()
    assert (found.name, found.read_bytes()) == (NAME, b"bundle")


def test_the_same_again_is_fine_and_another_is_refused(tmp_path: Path) -> None:
    store = store_at(str(tmp_path))
    put(store, b"bundle")
    assert put(store, b"bundle") is False
    for other in (b"bundlE", b"bundle and more", b""):
        with pytest.raises(BundleError, match="is there already, and is another"):
            put(store, other)
    assert (tmp_path / NAME).read_bytes() == b"bundle"
    assert list(tmp_path.iterdir()) == [tmp_path / NAME]


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    store = store_at(str(tmp_path))

    def fail() -> None:
        with staged(store) as path:
            path.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BundleError, match="file/x: Not a directory"), staged(store_at(str(tmp_path / "file" / "x"))):
        pass


@pytest.mark.parametrize("to", ["s3://", "s3:///prefix", "s3://me:secret@bucket/x", "s3://bucket/x?versionId=1"])
def test_what_is_no_place_in_a_bucket(to: str) -> None:
    with pytest.raises(BundleError, match="s3://bucket/prefix"):
        store_at(to)


def test_a_bucket_has_it_byte_for_byte(s3: S3) -> None:
    store = store_at("s3://records/engine/2025")
    assert store.place == "s3://records/engine/2025"
    assert put(store, BIG) is True
    assert (s3.folder / "records" / "engine" / "2025" / NAME).read_bytes() == BIG
    assert put(store, BIG) is False
    assert put(store_at("s3://records"), b"small") is True
    assert (s3.folder / "records" / NAME).read_bytes() == b"small"


def test_a_bucket_keeps_what_it_has(s3: S3) -> None:
    store = store_at("s3://records/kept/")
    put(store, b"bundle")
    with pytest.raises(BundleError, match=f"s3://records/kept/{NAME} is there already, and is another"):
        put(store, b"another")
    assert (s3.folder / "records" / "kept" / NAME).read_bytes() == b"bundle"


def test_who_is_not_let_in_is_told_so_and_not_his_secret(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    with pytest.raises(BundleError) as refused:
        put(store_at("s3://records/x"), b"bundle")
    said = f"{refused.value!r} {refused.value} {refused.value.__context__!r}"
    assert "403" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "another-secret" not in said
    assert SECRET not in said


def test_a_bucket_that_is_not_there(s3: S3) -> None:
    with pytest.raises(BundleError, match=r"^s3://nowhere/x: .*404"):
        put(store_at("s3://nowhere/x"), b"bundle")
