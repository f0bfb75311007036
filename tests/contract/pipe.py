"""What stands before and behind the validating proxy: it passes everything on, and can spoil an answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2


class Pipe:
    """Passes requests to `upstream`, without `prefix` in their paths, and its answers back."""

    def __init__(self, upstream: str = "", prefix: str = "") -> None:
        self.upstream = upstream
        self.links = ("", "")
        """What links begin with in answers, and what they begin with when they have passed."""
        self.seen: list[str] = []
        """Paths that came through."""
        self.warnings: list[str] = []
        """What the validating proxy found in answers that it let pass."""
        self._prefix = prefix
        self._spoil: Callable[[Any], int | None] | None = None
        self._http = httpx2.Client(timeout=20)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._http.close()

    @contextmanager
    def spoiling(self, spoil: Callable[[Any], int | None]) -> Iterator[None]:
        """Each answer is given to `spoil` as parsed JSON, to be changed; what it returns is the status instead."""
        self._spoil = spoil
        try:
            yield
        finally:
            self._spoil = None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        pipe = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                pipe.seen.append(self.path)
                passed = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "accept-encoding")}
                came = pipe._http.get(pipe.upstream + self.path.removeprefix(pipe._prefix), headers=passed)
                status, body = came.status_code, came.content
                if pipe.links[0]:
                    body = body.replace(pipe.links[0].encode(), pipe.links[1].encode())
                pipe.warnings += came.headers.get_list("sl-violations")
                if pipe._spoil is not None:
                    said = json.loads(body)
                    status = pipe._spoil(said) or status
                    body = json.dumps(said).encode()
                self.send_response(status)
                for name, value in came.headers.items():
                    if name not in ("content-length", "date", "connection", "transfer-encoding", "content-encoding"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        return Handler
