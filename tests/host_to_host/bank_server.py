"""A bank's SFTP server for the tests: a real one (asyncssh), on a loopback port, with faults on demand."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh

from token_engine.banks.host_to_host_settings import Sftp
from token_engine.banks.secrets import SecretReference

USER = "engine"


class Files(asyncssh.SFTPServer):
    """What lies under a folder; a test may override any of it."""

    def __init__(self, channel: Any, root: Path) -> None:
        super().__init__(channel, chroot=os.fsencode(root))


class Bank:
    """The server's side of a story: its files, its keys, and how its clients come in."""

    def __init__(self, folder: Path) -> None:
        self.files = folder / "files"
        self.files.mkdir()
        self.outbox = self.files / "outbox"
        self.outbox.mkdir()
        self._folder = folder
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        # Blanks and percent signs, which ssh would take for its own.
        self.client_key = self.key_file("id 100% ours")
        self.known_hosts = folder / "known hosts 100%"
        self.connections = 0

    def key_file(self, name: str) -> Path:
        path = self._folder / name
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(path))
        key.write_public_key(str(path) + ".pub")
        path.chmod(0o600)
        return path

    @asynccontextmanager
    async def open(self, serving: Callable[[Any, Path], Any] = Files, **options: Any) -> AsyncIterator[Sftp]:
        """Serve, and let the client know whom to trust."""
        bank = self

        class Door(asyncssh.SSHServer):
            def connection_made(self, conn: Any) -> None:
                bank.connections += 1

        server = await asyncssh.create_server(
            Door, "127.0.0.1", 0, server_host_keys=[self.host_key],
            authorized_client_keys=str(self.client_key) + ".pub",
            **{"sftp_factory": lambda channel: serving(channel, self.files), **options},
        )  # fmt: skip
        port = server.get_port()
        self.trust(port, self.host_key)
        try:
            yield Sftp(
                host="127.0.0.1", port=port, user=USER, directory="outbox", known_hosts=str(self.known_hosts),
                private_key=SecretReference(file=str(self.client_key)),
            )  # fmt: skip
        finally:
            server.close()
            await asyncio.wait_for(server.wait_closed(), 10)

    def trust(self, port: int, key: Any) -> None:
        public = key.export_public_key().decode()
        self.known_hosts.write_text(f"[127.0.0.1]:{port} {public}")
