"""What stands between the validating proxy and the bank: it passes everything on, and can spoil one answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2


class Pipe:
    """Passes requests on to `bank`, and its answers back. `seen` are the paths that came through."""

    def __init__(self, bank: str) -> None:
        self.bank = bank
        self.called: str = bank
        """How clients call the bank: its links are made to lead there, as a reverse proxy does."""
        self.seen: list[str] = []
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
                came = pipe._http.get(pipe.bank + self.path, headers=passed)
                status, body = came.status_code, came.content.replace(pipe.bank.encode(), pipe.called.encode())
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
