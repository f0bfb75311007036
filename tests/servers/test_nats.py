"""The embedded NATS keeps its messages, whatever happens to it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import nats as client
import pytest
from nats.js.api import StreamConfig

from token_engine.servers import EmbeddedNats, ServerError, port
from token_engine.servers.nats import _greeting


async def _publish(url: str, text: str) -> None:
    connection = await client.connect(url)
    stream = connection.jetstream()
    await stream.add_stream(StreamConfig(name="KEPT", subjects=["kept.>"]))
    await stream.publish("kept.one", text.encode())
    await connection.close()


async def _read(url: str) -> list[str]:
    connection = await client.connect(url)
    stream = connection.jetstream()
    count = (await stream.stream_info("KEPT")).state.messages
    texts = [((await stream.get_msg("KEPT", seq + 1)).data or b"").decode() for seq in range(count)]
    await connection.close()
    return texts


def publish(url: str, text: str) -> None:
    asyncio.run(_publish(url, text))


def read(url: str) -> list[str]:
    return asyncio.run(_read(url))


def wait_until_dead(server: EmbeddedNats) -> None:
    deadline = time.monotonic() + 5
    while server.alive():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("name", ["plain", "with spaces, a 'quote' and ü", "long-" + "x" * 120])
def test_restart_keeps_messages_and_port(tmp_path: Path, name: str) -> None:
    home = tmp_path / name / "nats"
    server = EmbeddedNats(home, preferred_port=None)
    try:
        url = server.start(print)
        publish(url, "one")
        server.stop()
        server.stop()
        assert not server.alive()
        server = EmbeddedNats(home, preferred_port=None)
        assert server.start(print) == url
        assert server.start(print) == url, "starting what runs changes nothing"
        assert read(url) == ["one"]
    finally:
        server.stop()


def test_kill_9_loses_nothing_acknowledged(nats: EmbeddedNats) -> None:
    url = nats.start(print)
    publish(url, "one")
    before = nats.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    wait_until_dead(nats)
    assert nats.start(print) == url
    assert nats.pid != before
    assert read(url) == ["one"]


def test_the_preferred_port_taken_is_replaced_aloud(tmp_path: Path, said: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        server = EmbeddedNats(tmp_path / "nats", preferred_port=taken)
        try:
            server.start(said.append)
            assert server.port != taken
            assert said == [f"Port {taken} is taken; NATS takes {server.port}."]
        finally:
            server.stop()


def test_a_port_lost_between_check_and_bind_is_replaced(nats: EmbeddedNats, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken, choose = other.getsockname()[1], port.choose
        answers = iter([taken])
        monkeypatch.setattr(port, "choose", lambda wanted: next(answers, None) or choose(wanted))
        publish(nats.start(print), "one")
        assert nats.port != taken


def test_another_nats_on_the_port_is_not_mistaken_for_ours(
    nats: EmbeddedNats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = EmbeddedNats(tmp_path / "other", preferred_port=None)
    try:
        other.start(print)
        taken, choose = other.port, port.choose
        answers = iter([taken])
        monkeypatch.setattr(port, "choose", lambda wanted: next(answers, None) or choose(wanted))
        nats.start(print)
        assert nats.port != taken
    finally:
        other.stop()


def test_a_server_left_by_an_earlier_run_is_stopped_aloud(nats: EmbeddedNats, tmp_path: Path, said: list[str]) -> None:
    publish(nats.start(print), "one")
    next_run = EmbeddedNats(tmp_path / "nats", preferred_port=None)
    try:
        assert read(next_run.start(said.append)) == ["one"]
        assert said == [f"Stopping a NATS that an earlier run left (pid {nats.pid})…"]
        assert not nats.alive()
    finally:
        next_run.stop()


def test_a_stale_pid_file_does_not_block(nats: EmbeddedNats, tmp_path: Path) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        for text in (str(bystander.pid), "", "\0\0"):
            (tmp_path / "nats").mkdir(exist_ok=True)
            (tmp_path / "nats/nats.pid").write_text(text)
            nats.start(print)
            nats.stop()
        assert bystander.poll() is None, "somebody else's process is not ours to stop"
    finally:
        bystander.kill()
        bystander.wait()


def test_on_loopback_only_and_synced(nats: EmbeddedNats, tmp_path: Path) -> None:
    nats.start(print)
    greeting = _greeting(nats.port or 0)
    assert greeting["max_payload"] == 8 * 1024 * 1024
    assert greeting["host"] == "127.0.0.1"
    assert "sync_interval: 250ms" in (tmp_path / "nats/nats.conf").read_text()
    assert stat.S_IMODE((tmp_path / "nats").stat().st_mode) == 0o700


def test_every_message_can_be_synced(tmp_path: Path) -> None:
    server = EmbeddedNats(tmp_path / "nats", preferred_port=None, sync_interval="always")
    try:
        server.start(print)
        assert "sync_interval: always" in (tmp_path / "nats/nats.conf").read_text()
    finally:
        server.stop()


def test_a_start_that_fails_quotes_the_log(nats: EmbeddedNats, tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats/store").write_text("not a directory")
    with pytest.raises(ServerError, match=r"(?s)NATS did not start.*nats\.log.*not a directory.*--nats-url"):
        nats.start(print)
