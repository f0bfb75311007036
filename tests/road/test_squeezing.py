"""A large message is compressed while it is read: what is kept of it is what was digested and read, or nothing is."""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import pytest

from road.bench import NOW, Bench, Road
from token_engine.storage import parts
from token_engine.tiers.delivery import Delivery, Door, delivery
from token_engine.tiers.squeezing import Squeezing, squeezing

LARGE = os.urandom(9_000_000)


def in_file(path: Path, raw: bytes) -> Delivery:
    path.write_bytes(raw)
    digest, name = sha256(raw).digest(), path.name
    return Delivery(raw=b"", digest=digest, size=len(raw), door=Door.FILE, source=name, received_at=NOW, file=path)


async def row_of(road: Road, kept: Delivery) -> int:
    row = await road.row(
        "INSERT INTO bank_messages (digest, received_at, door, source, raw, raw_size, state, answer, last_attempt_at)"
        " VALUES (%s, %s, 'FILE', %s, '', %s, 'RECORDED', '{}', %s) RETURNING id",
        kept.digest, NOW, kept.source, kept.size, NOW,
    )  # fmt: skip
    return int(row["id"])


async def kept_of(road: Road, number: int) -> bytes:
    rows = await road.rows("SELECT deflated FROM bank_message_parts WHERE message_id = %s ORDER BY part", number)
    return zlib.decompress(b"".join(bytes(row["deflated"]) for row in rows))


def test_several_of_a_batch_are_kept_each_under_its_number(bench: Bench, tmp_path: Path) -> None:
    async def story(road: Road) -> None:
        several = [in_file(tmp_path / "large.xml", LARGE), delivery(LARGE[:-1], Door.HTTP, "b", NOW)]
        async with squeezing() as squeezed:
            for kept in several:
                squeezed.begin(kept)
            for kept in reversed(several):
                number = await row_of(road, kept)
                await squeezed.keep(road.tx, number, kept)
                assert sha256(await kept_of(road, number)).digest() == kept.digest

    bench.void(story)


def written_to(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"another")


def written_to_and_back(path: Path) -> None:
    before = path.stat()
    written_to(path)
    with path.open("r+b") as file:
        file.write(LARGE[:7])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\n")


def replaced(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(LARGE)
    other.rename(path)


@pytest.mark.parametrize("change", [written_to, written_to_and_back, grown, replaced])
@pytest.mark.parametrize("first", ["compressed", "changed"])
def test_a_file_that_changes_while_it_is_read_is_not_kept(
    bench: Bench, tmp_path: Path, change: Callable[[Path], None], first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeeze = parts.squeeze

    def late(source: BinaryIO, into: BinaryIO) -> bytes:
        change(tmp_path / "large.xml")
        return squeeze(source, into)

    async def story(road: Road) -> None:
        async with squeezing() as squeezed:
            kept = in_file(tmp_path / "large.xml", LARGE)
            if first == "changed":
                monkeypatch.setattr(parts, "squeeze", late)
            squeezed.begin(kept)
            if first == "compressed":
                await asyncio.to_thread(done, squeezed)
                change(tmp_path / "large.xml")
            with pytest.raises(OSError, match=r"large\.xml changed while it was read"):
                await squeezed.keep(road.tx, await row_of(road, kept), kept)

    bench.void(story)


def done(squeezed: Squeezing) -> None:
    """Wait until the thread has done all that it was given."""
    squeezed._thread.submit(lambda: None).result(30)


def test_a_batch_that_is_given_up_leaves_neither_thread_nor_file(tmp_path: Path) -> None:
    homes = []

    async def run() -> None:
        async with asyncio.timeout(30), squeezing() as squeezed:
            squeezed.begin(in_file(tmp_path / "large.xml", LARGE))
            await asyncio.to_thread(done, squeezed)
            homes.append(squeezed._home)
            assert list(homes[0].iterdir())
            raise RuntimeError("the database went away")

    with pytest.raises(RuntimeError, match="the database went away"):
        asyncio.run(run())
    assert not homes[0].exists()
