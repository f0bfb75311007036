"""Decide as whom PostgreSQL runs, which refuses to run as root."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from token_engine.servers.error import ServerError, last_lines
from token_engine.servers.identity import NAMESPACE, SAME, Identity, dropped
from token_engine.servers.lock import LOCK_NAME
from token_engine.servers.spawn import spawn

_PATIENCE: Final = 60


def settle(home: Path, data: Path, postgres: Path) -> Identity:
    """The identity for the server in `home`: the one that made `data`, else the first that works.

    A directory stays with its owner, so that it can be resumed; only root's own directory moves to
    another user, when the system has stopped allowing user namespaces.
    """
    if os.geteuid() != 0:
        _refuse_foreign(data)
        return SAME
    refusals: list[str] = []
    for identity in _for_root(home, data):
        before, passable = home.stat(), stat.S_IMODE(home.parent.stat().st_mode)
        adopt(home, identity)
        refusal = _try(home, identity, postgres)
        if refusal is None:
            return identity
        refusals.append(f"  {refusal}")
        adopt(home, dropped(before.st_uid, before.st_gid))
        if stat.S_IMODE(home.parent.stat().st_mode) != passable:
            home.parent.chmod(passable)
    raise ServerError(
        f"PostgreSQL refuses to run as root, and no other way works here for {home}:\n"
        + "\n".join(refusals)
        + "\nRun token-engine as an ordinary user, or name a server with --database-url."
    )


def _refuse_foreign(data: Path) -> None:
    try:
        owner = data.stat().st_uid
    except FileNotFoundError:
        return
    except OSError as error:
        raise ServerError(
            f"The database in {data} cannot be used: {error.strerror}.\n"
            "Run token-engine as the user who owns it, or choose another data directory with --data."
        ) from error
    if owner != os.geteuid():
        raise ServerError(
            f"The database in {data} belongs to {_name(owner)}, and this is {_name(os.geteuid())}.\n"
            f"Run token-engine as {_name(owner)}, or choose another data directory with --data."
        )


def _for_root(home: Path, data: Path) -> Iterator[Identity]:
    owner = (data if data.exists() else home).stat()
    if owner.st_uid != 0:
        yield dropped(owner.st_uid, owner.st_gid)
        if data.exists():
            return
    if sys.platform == "linux":
        yield NAMESPACE
    above = home.parent.stat()
    if above.st_uid not in (0, owner.st_uid):
        yield dropped(above.st_uid, above.st_gid)
    yield _nobody()


def _nobody() -> Identity:
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return dropped(65534, 65534)
    return dropped(nobody.pw_uid, nobody.pw_gid)


def adopt(home: Path, identity: Identity) -> None:
    """Make everything in `home`, and nothing outside, belong to `identity`. `home` last: it is the mark."""
    if home.stat().st_uid != identity.uid:
        for above, directories, files in os.walk(home, topdown=False):
            for name in (*directories, *files):
                identity.give(Path(above, name))
        identity.give(home)
    parent = home.parent
    mode = stat.S_IMODE(parent.stat().st_mode)
    # The engine's own data directory (its lock says so) lies above. Another user has to pass
    # through it to reach `home`; to pass is not to read.
    if identity.uid not in (0, parent.stat().st_uid) and (parent / LOCK_NAME).exists() and not mode & 0o001:
        parent.chmod(mode | 0o001)


def _try(home: Path, identity: Identity, postgres: Path) -> str | None:
    """Why this identity does not work here, or None if it does."""
    log = home / "identity.log"
    child = spawn(
        [str(postgres), "--version"],
        identity=identity,
        directory=home,
        log=log,
        death_signal=signal.SIGKILL,
    )
    try:
        code = child.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return f"{identity.spec}: no answer within {_PATIENCE} s"
    if code == 0:
        log.unlink()
        return None
    return "; ".join(last_lines(log)) or f"{identity.spec}: exit code {code}"


def _name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"
