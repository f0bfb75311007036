"""Where a bank's files lie, and how they are read. The private key is named, never held."""

from __future__ import annotations

import re
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from token_engine.banks.secrets import SecretReference
from token_engine.domain.observation import Freshness

_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?", re.ASCII)
_USER: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.@+-]{0,98}[A-Za-z0-9_$])?", re.ASCII)
_SPOILT_IN_OPTIONS: Final = re.compile(r'["$~\\]|[^ -\U0010ffff]')


class Folder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="folder"):
    """A folder of this machine, or mounted on it."""

    path: str


class Sftp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="by", tag="sftp"):
    """A directory of an SFTP server. `known_hosts` is a file of its own, as OpenSSH writes it: a server whose key does
    not stand there is not spoken to. `private_key` names a file without a passphrase, which only its owner can read.
    """

    host: str
    port: int = 22
    user: str
    directory: str = "."
    private_key: SecretReference
    known_hosts: str

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host):
            raise ValueError("host is no name or address of a host")
        if not _USER.fullmatch(self.user):
            raise ValueError("user is no name of an SFTP user")
        if not 0 < self.port < 65536:
            raise ValueError("port is none")
        if not self.directory or "\0" in self.directory:
            raise ValueError("directory is none")
        if self.private_key.file is None:
            raise ValueError("private_key is named by file: ssh reads it there")
        for path in (self.private_key.file, self.known_hosts):
            if not path or _SPOILT_IN_OPTIONS.search(path):
                raise ValueError("a path of a key file is empty, or has a quote, $, ~, backslash or line end in it")


class HostToHostSettings(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="host_to_host"
):
    """Files of a bank. `files` is a pattern as in a shell (`*.xml`); `time_zone` is the bank's, for days and for times
    without one. Who gets a statement a day, and no reports, sets `closing_minutes`.
    """

    place: Folder | Sftp
    files: str = "*"
    time_zone: str = "UTC"
    freshness: Freshness = Freshness()

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"time_zone: {self.time_zone[:60]!r} is no time zone") from None
