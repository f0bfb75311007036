"""Who a server runs as."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Identity:
    """`spec` as launch.py reads it; `uid` and `gid` as the file system sees the server."""

    spec: str
    uid: int
    gid: int

    def give(self, path: Path) -> None:
        """Make one of our own files belong to the server. Only root can, and only root needs to."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


SAME: Final = Identity("same", os.geteuid(), os.getegid())
# Root outside the namespace, so root on disk; what the server sees of itself is launch.SHOWN_UID.
NAMESPACE: Final = Identity("namespace", 0, 0)


def dropped(uid: int, gid: int) -> Identity:
    """Another user, for good."""
    return Identity(f"{uid}:{gid}", uid, gid)
