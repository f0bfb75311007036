from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from host_to_host.bank_server import Bank


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    """A bank that serves files by SFTP."""
    if shutil.which("ssh") is None:
        pytest.skip("the program ssh (OpenSSH's client) is not installed")
    folder = tmp_path / "bank"
    folder.mkdir()
    return Bank(folder)
