"""The `ssh` program of the system as the way to an SFTP server: it proves who they are and who we are, and encrypts.

It is told everything: no configuration file, agent, password, terminal or forwarding plays a part.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from token_engine.banks.host_to_host_settings import Sftp
from token_engine.banks.mailbox import MailboxError
from token_engine.banks.secrets import SecretMissingError
from token_engine.banks.sftp_packets import GarbledError
from token_engine.banks.sftp_session import SftpSession
from token_engine.domain.observation import Why

_KEPT_OF_WORDS: Final = 8 * 1024
_GOODBYE_SECONDS: Final = 2
_NOT_TAKEN: Final = "the server does not take this user's key, or the key has a passphrase"
_REASONS: Final = (
    # The first that ssh's words hold; some lines come together ("Host key verification failed" and what went before).
    ("host key", Why.ACCESS_REFUSED, "the server's host key is not the one in known_hosts"),
    ("host identification has changed", Why.ACCESS_REFUSED, "the server's host key is not the one in known_hosts"),
    ("unprotected private key", Why.ACCESS_REFUSED, "private_key: others than its owner can read the file"),
    ("load key", Why.ACCESS_REFUSED, "private_key: no private key without a passphrase is in the file"),
    ("permission denied", Why.ACCESS_REFUSED, _NOT_TAKEN),
    ("too many authentication failures", Why.ACCESS_REFUSED, _NOT_TAKEN),
    ("subsystem request failed", Why.ACCESS_REFUSED, "the server offers this user no SFTP"),
    ("timed out", Why.TIMED_OUT, "the server does not answer"),
)


@asynccontextmanager
async def sftp_session(place: Sftp, patience: float) -> AsyncIterator[SftpSession]:
    """A conversation with the server, which ends with the context. `patience` is how many seconds an answer may take.

    What goes wrong on the way, also inside the context, is a MailboxError.
    """
    try:
        place.private_key.read()
    except SecretMissingError as error:
        raise MailboxError(Why.ACCESS_REFUSED, f"private_key: {error}") from None
    if not os.access(place.known_hosts, os.R_OK):
        raise MailboxError(Why.ACCESS_REFUSED, f"known_hosts: file {place.known_hosts} cannot be read")
    pipe = asyncio.subprocess.PIPE
    try:
        ssh = await asyncio.create_subprocess_exec(
            *command(place, patience), stdin=pipe, stdout=pipe, stderr=pipe,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )  # fmt: skip
    except FileNotFoundError:
        raise MailboxError(Why.UNREACHABLE, "the program ssh (OpenSSH's client) is not installed") from None
    assert ssh.stdin is not None
    assert ssh.stdout is not None
    assert ssh.stderr is not None
    words = asyncio.create_task(_beginning(ssh.stderr))
    at = f"sftp {place.user}@{place.host}:{place.port}"
    try:
        session = SftpSession(ssh.stdout, ssh.stdin, patience)
        await session.start()
        yield session
    except TimeoutError:
        raise MailboxError(Why.TIMED_OUT, f"{at}: no answer within {patience:g} s") from None
    except GarbledError as error:
        raise MailboxError(Why.UNREADABLE, f"{at}: {error}") from None
    except (asyncio.IncompleteReadError, ConnectionError):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await ssh.wait()
                await asyncio.shield(words)
        why, text = reason(words.result() if words.done() else b"")
        raise MailboxError(why, f"{at}: {text}") from None
    finally:
        words.cancel()
        await _end(ssh)


def command(place: Sftp, patience: float) -> list[str]:
    """ssh, with every option that decides whom it trusts and what it shows of us."""
    assert place.private_key.file is not None
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": _path(place.known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "UpdateHostKeys": "no",
        "VerifyHostKeyDNS": "no",
        "IdentityFile": _path(place.private_key.file),
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "PreferredAuthentications": "publickey",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "ConnectTimeout": f"{max(1, round(patience))}",
        "ConnectionAttempts": "1",
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "3",
        "ClearAllForwardings": "yes",
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "PermitLocalCommand": "no",
        "ControlPath": "none",
        "LogLevel": "ERROR",
    }
    told = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-F", "none", "-T", *told, "-p", str(place.port), "-l", place.user, "-s", "--", place.host, "sftp"]


def reason(words: bytes) -> tuple[Why, str]:
    """Why a connection was not made or broke off, by what ssh said of it."""
    said = words.decode(errors="replace")
    for tell, why, text in _REASONS:
        if tell in said.lower():
            return why, text
    lines = ["".join(c for c in line if c.isprintable()) for line in said.splitlines() if line.strip()]
    return Why.UNREACHABLE, lines[-1][:200] if lines else "the server closed the connection"


def _path(path: str) -> str:
    """A path as ssh's options take it: a percent sign begins a token, a blank ends a name."""
    return '"' + path.replace("%", "%%") + '"'


async def _beginning(stream: asyncio.StreamReader) -> bytes:
    """The first words; the rest is read away, so that whoever writes it is not held up."""
    kept = b""
    while chunk := await stream.read(4096):
        kept = (kept + chunk)[:_KEPT_OF_WORDS]
    return kept


async def _end(ssh: asyncio.subprocess.Process) -> None:
    if ssh.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            ssh.kill()
    await ssh.wait()
    ssh.stdin.close()  # type: ignore[union-attr]
