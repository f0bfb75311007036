"""Zip and gzip bundles, the honest and the hostile."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable

import pytest

from token_engine.domain.refusal import Refusal
from token_engine.iso20022 import bundle
from token_engine.iso20022.reader import unbundle


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def refused(raw: bytes, expanded_bytes: int = bundle.EXPANDED_BYTES) -> Refusal:
    got = unbundle(raw, "in.zip", expanded_bytes)
    assert isinstance(got, Refusal), got
    return got


def test_what_is_no_bundle_is_returned_itself() -> None:
    raw = b"<Document/>"
    got = unbundle(raw, "a.xml")
    assert isinstance(got, list)
    assert got == [("a.xml", raw)]
    assert got[0][1] is raw


def test_zip_gzip_and_one_in_the_other() -> None:
    inner = zipped({"a.xml": b"<a/>", "sub/b.xml": b"<b/>"})
    flat = [("in.zip/a.xml", b"<a/>"), ("in.zip/sub/b.xml", b"<b/>")]
    assert unbundle(inner, "in.zip") == flat
    assert unbundle(gzip.compress(b"<a/>"), "a.xml.gz") == [("a.xml", b"<a/>")]
    assert unbundle(gzip.compress(inner), "in.zip.gz") == flat
    assert unbundle(zipped({"day.zip": inner}), "in.zip") == [
        ("in.zip/day.zip/a.xml", b"<a/>"),
        ("in.zip/day.zip/sub/b.xml", b"<b/>"),
    ]
    assert unbundle(zipped({"a.xml.gz": gzip.compress(b"<a/>")}), "in.zip") == [("in.zip/a.xml", b"<a/>")]
    assert unbundle(gzip.compress(b"<a>") + gzip.compress(b"</a>"), "a.gz") == [("a", b"<a></a>")]


def test_folders_and_what_desktops_add_are_no_messages() -> None:
    raw = zipped({"d/": b"", "d/a.xml": b"<a/>", "__MACOSX/d/._a.xml": b"x", "d/.DS_Store": b"x"})
    assert unbundle(raw, "in.zip") == [("in.zip/d/a.xml", b"<a/>")]


def test_an_empty_bundle_is_refused() -> None:
    assert refused(zipped({})).code == "bundle_refused"


def test_bundles_are_not_nested_without_end() -> None:
    raw = zipped({"a.xml": b"<a/>"})
    for _ in range(2):
        raw = zipped({"in.zip": raw})
    assert refused(raw).field == "in.zip/in.zip/in.zip"


def test_too_many_members() -> None:
    assert isinstance(unbundle(zipped({f"{n}.xml": b"" for n in range(1000)}), "in.zip"), list)
    assert "more than 1000 members" in refused(zipped({f"{n}.xml": b"" for n in range(1001)})).message


def test_a_directory_of_millions_is_not_read() -> None:
    raw = b"PK\x03\x04" + b"\0" * 5_000_000
    raw += struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 5_000_000, 4, 0)
    assert "directory is too long" in refused(raw).message


@pytest.mark.parametrize("pack", [gzip.compress, lambda raw: zipped({"a.xml": raw})])
def test_expansion_stops_at_the_cap(pack: Callable[[bytes], bytes]) -> None:
    assert isinstance(unbundle(pack(bytes(1_000_000)), "in.zip", 1_000_000), list)
    assert refused(pack(bytes(1_000_001)), 1_000_000).code == "too_large"


def test_the_cap_is_of_all_members_together() -> None:
    raw = zipped({f"{n}.xml": bytes(300_000) for n in range(4)})
    assert refused(raw, 1_000_000).field == "in.zip/3.xml"


def test_a_declared_size_is_not_believed() -> None:
    raw = zipped({"a.xml": bytes(100_000)})
    lie = raw.replace(struct.pack("<L", 100_000), struct.pack("<L", 10))
    assert lie != raw
    assert refused(lie).field == "in.zip/a.xml"


def test_an_encrypted_member_is_named() -> None:
    raw = bytearray(zipped({"ok.xml": b"<a/>", "secret.xml": b"<a/>"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.rindex(signature) + offset] |= 1
    refusal = refused(bytes(raw))
    assert (refusal.code, refusal.field) == ("bundle_refused", "in.zip/secret.xml")
    assert "encrypted" in refusal.message


def test_a_corrupt_member_is_named() -> None:
    raw = zipped({"a.xml": b"<Document/>"}, zipfile.ZIP_STORED).replace(b"<Document/>", b"<Dokument/>", 1)
    refusal = refused(raw)
    assert (refusal.code, refusal.field) == ("bundle_refused", "in.zip/a.xml")


# Named, because gzip writes the time into its bytes: two processes would know one test by two names.
@pytest.mark.parametrize(
    "raw",
    [gzip.compress(b"<Document/>" * 99)[:-9], gzip.compress(b"<a/>") + b"garbage"],
    ids=["cut", "followed by garbage"],
)
def test_a_broken_gzip_is_refused(raw: bytes) -> None:
    assert refused(raw).code == "bundle_refused"


def test_other_compressions_are_refused() -> None:
    assert "deflate" in refused(zipped({"a.xml": b"<a/>"}, zipfile.ZIP_BZIP2)).message


def test_a_truncated_zip_is_refused() -> None:
    assert refused(zipped({"a.xml": b"<a/>"})[:-10]).code == "bundle_refused"
    assert refused(b"PK\x03\x04").code == "bundle_refused"
