"""Run as a program: become the right user, arrange to die with the engine, then become the server.

    launch.py PARENT DEATH_SIGNAL IDENTITY DIRECTORY PROGRAM [ARGUMENT...]

A program of its own, and not a `preexec_fn`: Python code between fork and exec can deadlock in a
process with threads, and the engine has threads. It imports nothing of the engine, because the
interpreter runs it isolated (-I) and without site (-S) to be quick.
"""

from __future__ import annotations

import ctypes  # here, because the user that we become may not be able to read the library
import os
import signal
import sys

# Exit codes that no server uses; what went wrong is on stderr, which is the start log.
REFUSED = 121  # the system does not let us become this user
UNREACHABLE = 122  # as this user, the directory or the program is out of reach
ORPHANED = 123  # the engine died before we came this far

# The user that a user namespace shows us as. PostgreSQL refuses uid 0, and initdb asks the system
# for the name of its user; 65534 is nobody's number nearly everywhere.
SHOWN_UID = 65534


def become(identity: str) -> None:
    """`same`, `namespace`, or `UID:GID`."""
    if identity == "same":
        return
    if identity == "namespace":
        _enter_namespace()
        return
    uid, gid = (int(part) for part in identity.split(":"))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _enter_namespace() -> None:
    """Root outside, and nobody in our own eyes: files stay root's, no right outside changes."""
    uid, gid = os.geteuid(), os.getegid()
    clone_newuser = 0x10000000
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(clone_newuser) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{SHOWN_UID} {uid} 1"),
        ("gid_map", f"{SHOWN_UID} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    if os.geteuid() != SHOWN_UID:
        raise OSError(f"the user namespace shows uid {os.geteuid()}")


def die_with(parent: int, death_signal: int) -> None:
    """Ask the kernel to signal us when the engine dies, even by kill -9. Linux only.

    After `become`, because changing the user clears the request. It survives exec.
    """
    if sys.platform != "linux":
        return
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, death_signal, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(ORPHANED)


def main() -> None:
    parent, death_signal, identity, directory, *command = sys.argv[1:]
    try:
        become(identity)
    except OSError as error:
        print(f"cannot become {identity}: {error}", file=sys.stderr)
        sys.exit(REFUSED)
    die_with(int(parent), int(death_signal))
    os.umask(0o077)
    # What this interpreter, or a thread of the engine, ignores or blocks is not the server's wish.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    try:
        if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(13, "no right to read and write", directory)
        os.chdir(directory)
        os.execv(command[0], command)  # noqa: S606  the point of this program
    except OSError as error:
        print(f"as {identity}: {error}", file=sys.stderr)
        sys.exit(UNREACHABLE)


if __name__ == "__main__":
    main()
