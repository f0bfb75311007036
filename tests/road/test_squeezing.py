"""A large message is compressed while it is read: what is kept of it is what was read, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from road.bench import NOW, Bench, Road
from token_engine.storage import parts
from token_engine.tiers.delivery import Delivery, Door, delivery
from token_engine.tiers.squeezing import Squeezing, squeezing

LARGE = os.urandom(9_000_000)
"""More than two blocks, which nothing shrinks."""


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


@pytest.mark.parametrize("much", [0, 1, 100_000, 4 * 1024 * 1024, len(LARGE)])
def test_all_of_a_message_is_kept_however_much_of_it_was_read(bench: Bench, tmp_path: Path, much: int) -> None:
    """A refused one is read to the place that is wrong."""

    async def story(road: Road) -> None:
        async with squeezing() as squeezed:
            for kept in (in_file(tmp_path / "large.xml", LARGE), delivery(LARGE[:-1], Door.HTTP, "b", NOW)):
                async with squeezed.reading(kept) as source:
                    while source.tell() < much and source.read(65_536):
                        pass
                number = await row_of(road, kept)
                await squeezed.keep(road.tx, number, kept)
                assert sha256(await kept_of(road, number)).digest() == kept.digest

    bench.void(story)


def changed_where_it_was_read(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"<")


def changed_further_on(path: Path) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(8_000_000)
        file.write(b"another")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\n")


@pytest.mark.parametrize("change", [changed_where_it_was_read, changed_further_on, grown])
def test_a_file_that_changes_while_it_is_read_is_not_kept(
    bench: Bench, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    async def story(road: Road) -> None:
        async with squeezing() as squeezed:
            kept = in_file(tmp_path / "large.xml", LARGE)
            async with squeezed.reading(kept) as source:
                source.read(5_000_000)
                change(tmp_path / "large.xml")
            with pytest.raises(OSError, match=r"large\.xml changed while it was read"):
                await squeezed.keep(road.tx, await row_of(road, kept), kept)

    bench.void(story)


def test_a_disk_that_is_full_stops_nobody_who_reads(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> bytes:
        raise OSError(28, "No space left on device")

    async def story(road: Road) -> None:
        kept = in_file(tmp_path / "large.xml", LARGE * 2)
        monkeypatch.setattr(parts, "squeeze", full)
        async with asyncio.timeout(30), squeezing() as squeezed:
            async with squeezed.reading(kept) as source:
                await asyncio.to_thread(source.read, 1)
            with pytest.raises(OSError, match="No space left"):
                await squeezed.keep(road.tx, await row_of(road, kept), kept)

    bench.void(story)


def test_a_batch_that_is_given_up_half_read_leaves_neither_thread_nor_file(tmp_path: Path) -> None:
    homes = []

    async def run() -> None:
        async with asyncio.timeout(30), squeezing() as squeezed:
            homes.append(home_of(squeezed))
            async with squeezed.reading(in_file(tmp_path / "large.xml", LARGE)) as source:
                source.read(5_000_000)
                assert list(homes[0].iterdir())
                raise RuntimeError("the database went away")

    with pytest.raises(RuntimeError, match="the database went away"):
        asyncio.run(run())
    assert not homes[0].exists()


def home_of(squeezed: Squeezing) -> Path:
    return squeezed._home
