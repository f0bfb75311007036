"""The simulated bank as a process of its own, and the requests that a client makes of it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2

BERLIN = "/psd2/v1"
UK = "/open-banking/v4.0/aisp"
UK_3 = "/open-banking/v3.1/aisp"
UAE = "/open-finance/account-information/v2.1"
CONSENT = "consent-of-the-engine"
IBAN = "AE070331234567890123456"
OTHER = "021000089-4000123456"


class RunningBank:
    """A bank that answers on a loopback port."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.folder = folder
        self.http = httpx2.Client(base_url=self.url, timeout=10)
        self._token: str | None = None

    def control(self, path: str, said: Any = None, method: str = "POST") -> Any:
        """Ask one of its controls, which must do it."""
        answer = self.http.request(method, f"/simulated/{path}", json=said)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def open(self, *accounts: tuple[str, str, str]) -> None:
        self.control("accounts", [{"number": n, "currency": c, "balance": b} for n, c, b in accounts])

    def book(self, account: str, amount: str, **more: Any) -> list[dict[str, Any]]:
        booked: list[dict[str, Any]] = self.control(f"accounts/{account}/entries", {"amount": amount} | more)
        return booked

    def fault(self, kind: str, **more: Any) -> None:
        self.control("faults", {"kind": kind} | more)

    def well_again(self) -> None:
        self.control("faults", method="DELETE")

    def resource(self, number: str) -> str:
        return str(self.control(f"accounts/{number}", method="GET")["resource"])

    def token(self) -> str:
        """A bearer's token, got once."""
        if self._token is None:
            self.control("clients", {"id": "engine", "secret": "s3cret/+", "consents": [CONSENT]})
            given = self.http.post(
                "/oauth2/token", data={"grant_type": "client_credentials"}, auth=("engine", "s3cret%2F%2B")
            )
            assert given.status_code == 200, given.text
            self._token = str(given.json()["access_token"])
        return self._token

    def headers(self, **more: str | None) -> dict[str, str]:
        """What all three standards want; None leaves one out."""
        said: dict[str, str | None] = {
            "Authorization": f"Bearer {self.token()}", "Consent-ID": CONSENT, "X-Request-ID": str(uuid4()),
            "x-fapi-interaction-id": str(uuid4()),
        }  # fmt: skip
        said |= {name.replace("_", "-"): value for name, value in more.items()}
        return {name: value for name, value in said.items() if value is not None}

    def get(self, path: str, **headers: str | None) -> httpx2.Response:
        return self.http.get(path, headers=self.headers(**headers))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert isinstance(port, int)
        return port


@contextmanager
def running(folder: Path) -> Iterator[RunningBank]:
    """Its books, and the folder that it drops files into, lie in `folder`."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "token_engine.banks.simulated", "--port", str(port), "--books",
         str(folder / "books.db"), "--drop", str(folder / "dropped")],
    )  # fmt: skip
    bank = RunningBank(process, port, folder / "dropped")
    try:
        for _ in range(600):
            assert process.poll() is None, "it ended"
            try:
                bank.control("faults", method="GET")
            except httpx2.TransportError:
                time.sleep(0.05)
            else:
                break
        yield bank
    finally:
        bank.http.close()
        process.kill()
        process.wait()
