"""The SFTP mailbox against a real server, and against one that means harm or is not well."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import asyncssh
import pytest
from msgspec import structs

from host_to_host.bank_server import Bank, Files
from token_engine.banks.host_to_host_settings import Sftp
from token_engine.banks.mailbox import FileError, ListedFile, MailboxError
from token_engine.banks.secrets import SecretReference
from token_engine.banks.sftp_mailbox import SftpMailbox
from token_engine.domain.observation import Why

YESTERDAY = datetime(2025, 11, 17, 9, 30, tzinfo=UTC)


def put(bank: Bank, name: str | bytes, content: bytes = b"x") -> None:
    path = os.path.join(os.fsencode(bank.outbox), os.fsencode(name))
    with open(path, "wb") as file:
        file.write(content)
    os.utime(path, (YESTERDAY.timestamp(),) * 2)


async def fetch_all(place: Sftp, pattern: str = "*") -> dict[str, bytes]:
    found = {}
    async with SftpMailbox(place, pattern).opened() as box:
        for file in sorted((await box.files()).files):
            async with box.fetched(file) as path:
                found[file.name] = path.read_bytes()
    return found


def refused(story: Callable[[], Awaitable[Any]]) -> MailboxError:
    with pytest.raises(MailboxError) as caught:
        asyncio.run(story())  # type: ignore[arg-type]
    return caught.value


async def look(place: Sftp, patience: float = 10) -> Any:
    async with SftpMailbox(place, patience=patience).opened() as box:
        return await box.files()


def test_files_arrive_as_they_lie_there(bank: Bank) -> None:
    large = os.urandom(5_000_001)  # many answers under way at once, and a short one at the end
    put(bank, "large.xml", large)
    put(bank, "empty.xml", b"")
    put(bank, "Ümläut & 'quotes' \"too\" $HOME `id`; rm -rf *.xml", b"quoted")
    put(bank, "n" * 251 + ".xml", b"long")
    for name in (".hidden.xml", "a.xml.part", "b.TMP", "c.csv", "d.filepart"):
        put(bank, name)

    async def story() -> None:
        async with bank.open() as place:
            found = await fetch_all(place, "*.xml")
            assert found == {
                "large.xml": large, "empty.xml": b"", "Ümläut & 'quotes' \"too\" $HOME `id`; rm -rf *.xml": b"quoted",
                "n" * 251 + ".xml": b"long",
            }  # fmt: skip
            async with SftpMailbox(place).opened() as box:
                [listed] = [file for file in (await box.files()).files if file.name == "large.xml"]
                assert listed == ListedFile(YESTERDAY, "large.xml", len(large))

    asyncio.run(story())


def test_hostile_names_and_links(bank: Bank) -> None:
    put(bank, b"line\nbreak.xml", b"1")
    put(bank, b"\xff\xfe latin.xml", b"2")
    put(bank, b"-oProxyCommand=touch x.xml", b"3")
    put(bank, b"tab\tand\x1b[31mred.xml", b"4")
    (bank.outbox / "loop.xml").symlink_to("loop.xml")
    (bank.outbox / "out.xml").symlink_to("/etc/passwd")
    (bank.outbox / "folder.xml").mkdir()
    (bank.files / "secret.xml").write_bytes(b"not in the directory")

    class Hostile(Files):
        async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
            async for name in super().scandir(path):
                yield name
            plain = asyncssh.SFTPAttrs(size=3, permissions=0o100644, atime=1, mtime=1)
            for hostile in (b"x/../../secret.xml", b"/etc/passwd.xml", b"n" * 300 + b".xml", b"nul\0.xml"):
                yield asyncssh.SFTPName(hostile, attrs=plain)
            yield asyncssh.SFTPName(b"huge.xml", attrs=asyncssh.SFTPAttrs(size=2**62, permissions=0o100644, mtime=1))
            yield asyncssh.SFTPName(b"bare.xml", attrs=asyncssh.SFTPAttrs())

    async def story() -> None:
        async with bank.open(Hostile) as place, SftpMailbox(place, "*.xml").opened() as box:
            listing = await box.files()
            found = {}
            gone = []
            for file in listing.files:
                assert file.shown.isprintable()
                assert len(file.shown) <= 300
                try:
                    async with box.fetched(file) as path:
                        assert path.name == "file"  # nothing of theirs names a file of ours
                        found[os.fsencode(file.name)] = path.read_bytes()
                except FileError:
                    gone.append(os.fsencode(file.name))
            assert found == {
                b"line\nbreak.xml": b"1", b"\xff\xfe latin.xml": b"2", b"-oProxyCommand=touch x.xml": b"3",
                b"tab\tand\x1b[31mred.xml": b"4",
            }  # fmt: skip
            assert gone == [b"n" * 300 + b".xml"]
            assert listing.passed_over == {
                "loop.xml": "it is no plain file", "out.xml": "it is no plain file",
                "x/../../secret.xml": "its name leads out of the directory",
                "/etc/passwd.xml": "its name leads out of the directory",
                r"nul\x00.xml": "its name leads out of the directory",
                "huge.xml": f"{2**62} bytes are more than {4 * 1024**3}", "bare.xml": "its size or time is not told",
            }  # fmt: skip

    asyncio.run(story())


def test_ten_thousand_files_are_listed_at_once(bank: Bank) -> None:
    for number in range(10_000):
        (bank.outbox / f"{number:05}.xml").write_bytes(b"")

    async def story() -> None:
        async with bank.open() as place:
            assert len((await look(place)).files) == 10_000
            assert bank.connections == 1

    asyncio.run(story())


def test_a_server_with_another_host_key_is_not_spoken_to(bank: Bank) -> None:
    async def story() -> None:
        async with bank.open() as place:
            bank.trust(place.port, asyncssh.generate_private_key("ssh-ed25519"))
            await look(place)

    error = refused(story)
    assert error.why is Why.ACCESS_REFUSED
    assert "host key" in str(error)


def test_a_server_that_known_hosts_does_not_name_is_not_spoken_to(bank: Bank) -> None:
    async def story() -> None:
        async with bank.open() as place:
            bank.known_hosts.write_text("")
            await look(place)

    error = refused(story)
    assert error.why is Why.ACCESS_REFUSED
    assert "host key" in str(error)
    assert bank.known_hosts.read_text() == ""


def test_another_key_is_refused(bank: Bank) -> None:
    async def story() -> None:
        async with bank.open() as place:
            await look(structs.replace(place, private_key=SecretReference(file=str(bank.key_file("other")))))

    error = refused(story)
    assert error.why is Why.ACCESS_REFUSED
    assert "does not take this user's key" in str(error)


@pytest.mark.parametrize(
    ("spoilt", "words"), [("open", "others than its owner"), ("locked", "passphrase"), ("no key", "passphrase")]
)
def test_a_key_that_ssh_does_not_use_is_told_apart_from_one_that_the_server_does_not_take(
    bank: Bank, spoilt: str, words: str
) -> None:
    match spoilt:
        case "open":
            bank.client_key.chmod(0o644)
        case "locked":
            subprocess.run(["ssh-keygen", "-q", "-p", "-N", "a passphrase", "-f", bank.client_key], check=True)
        case _:
            bank.client_key.write_bytes(b"hello")

    async def story() -> None:
        async with bank.open() as place:
            await look(place)

    error = refused(story)
    assert error.why is Why.ACCESS_REFUSED
    assert words in str(error)


@pytest.mark.parametrize("missing", ["private_key", "known_hosts"])
def test_a_file_of_ours_that_is_not_there(bank: Bank, missing: str) -> None:
    async def story() -> None:
        async with bank.open() as place:
            nowhere = str(bank.files / "nowhere")
            value = SecretReference(file=nowhere) if missing == "private_key" else nowhere
            await look(structs.replace(place, **{missing: value}))

    error = refused(story)
    assert error.why is Why.ACCESS_REFUSED
    assert missing in str(error)
    assert bank.connections == 0


def test_a_server_that_is_gone(bank: Bank) -> None:
    async def story() -> None:
        async with bank.open() as place:
            pass
        await look(place)

    error = refused(story)
    assert error.why is Why.UNREACHABLE
    assert "refused" in str(error).lower()


def test_a_directory_that_is_not_there_and_a_server_without_sftp(bank: Bank) -> None:
    async def nowhere() -> None:
        async with bank.open() as place:
            await look(structs.replace(place, directory="nowhere"))

    async def no_sftp() -> None:
        async with bank.open(sftp_factory=None, session_factory=asyncssh.SSHServerSession) as place:
            await look(place)

    assert refused(nowhere).why is Why.UNREACHABLE
    error = refused(no_sftp)
    assert error.why is Why.ACCESS_REFUSED
    assert "no SFTP" in str(error)


def test_a_server_that_does_not_answer_in_time_is_left(bank: Bank) -> None:
    class Slow(Files):
        async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
            await asyncio.sleep(60)
            yield asyncssh.SFTPName(b"never")

    async def story() -> None:
        async with bank.open(Slow) as place:
            await look(place, patience=1)

    began = monotonic()
    assert refused(story).why is Why.TIMED_OUT
    assert monotonic() - began < 30


def test_a_port_that_says_nothing_is_left() -> None:
    """A listener that takes connections and never speaks: ssh gives up, not we wait."""

    async def story() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        here = str(Path(__file__))
        place = Sftp(host="127.0.0.1", port=port, user="u", private_key=SecretReference(file=here), known_hosts=here)
        async with server:
            await look(place, patience=1)

    assert refused(story).why in (Why.TIMED_OUT, Why.UNREACHABLE)


def test_a_server_that_dies_in_the_middle_of_a_file(bank: Bank) -> None:
    put(bank, "large.xml", os.urandom(4_000_000))

    class Dying(Files):
        def __init__(self, channel: Any, root: Path) -> None:
            super().__init__(channel, root)
            self._connection = channel.get_connection()

        def read(self, file_obj: Any, offset: int, size: int) -> Any:
            if offset > 1_000_000:
                self._connection.abort()
            return super().read(file_obj, offset, size)

    async def story() -> None:
        async with bank.open(Dying) as place:
            await fetch_all(place)

    assert refused(story).why is Why.UNREACHABLE


@pytest.mark.parametrize("change", ["grows", "shrinks", "rewritten", "removed"])
def test_a_file_that_is_not_what_was_listed_is_not_taken_and_others_are(bank: Bank, change: str) -> None:
    put(bank, "first.xml", b"a" * 100_000)
    put(bank, "second.xml", b"b" * 100_000)

    async def story() -> None:
        async with bank.open() as place, SftpMailbox(place).opened() as box:
            first, second = sorted((await box.files()).files)
            path = bank.outbox / "first.xml"
            match change:
                case "grows":
                    with path.open("ab") as file:
                        file.write(b"more")
                case "shrinks":
                    put(bank, "first.xml", b"a" * 1000)
                case "rewritten":
                    path.write_bytes(b"c" * 100_000)
                case "removed":
                    path.unlink()
            with pytest.raises(FileError):
                async with box.fetched(first):
                    raise AssertionError("it was taken")
            async with box.fetched(second) as path:
                assert path.read_bytes() == b"b" * 100_000

    asyncio.run(story())


def test_settings_that_would_reach_into_the_command_are_refused(bank: Bank) -> None:
    good = {"host": "bank", "user": "u", "private_key": SecretReference(file="k"), "known_hosts": "h"}
    Sftp(**good)  # type: ignore[arg-type]
    for bad in (
        {"host": "-oProxyCommand=x"}, {"host": "a b"}, {"host": ""}, {"user": "-l"}, {"user": "a;b"}, {"port": 0},
        {"known_hosts": 'a" -o x'}, {"known_hosts": "a\nb"}, {"known_hosts": "${HOME}"}, {"known_hosts": ""},
        {"private_key": SecretReference(env="KEY")}, {"private_key": SecretReference(file="~/k")}, {"directory": ""},
    ):  # fmt: skip
        with pytest.raises(ValueError):  # noqa: PT011
            Sftp(**good | bad)  # type: ignore[arg-type]
