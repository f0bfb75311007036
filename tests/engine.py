"""The engine as its users have it: a process of its own, its log, its API and its command line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx2
import psutil

from token_engine.servers import port as ports

COMMAND = (sys.executable, "-m", "token_engine")
V1 = "/api/v1"
CAMT054 = f"{V1}/reconciliation/camt054"
READY = "INFO Open http://localhost:"
_T = TypeVar("_T")

# What a developer may have exported must not decide where a test's engine keeps its data.
_FOREIGN = ("TOKEN_ENGINE_", "DATABASE_URL", "NATS_URL", "PG")


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return kept | dict(more or {})


def wait_for(what: Callable[[], _T], seconds: float = 30, every: float = 0.05) -> _T:
    """The first truthy answer; an AssertionError with the last one if none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"still {answer!r} after {seconds} s"
        time.sleep(every)


def run_command(
    *arguments: str | Path,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    seconds: float = 60,
) -> subprocess.CompletedProcess[bytes]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(
        command, input=stdin, capture_output=True, check=False, timeout=seconds, env=environment(env), cwd=cwd
    )


def _is_called(process: psutil.Process, name: str) -> bool:
    try:
        return bool(process.name() == name)
    except psutil.NoSuchProcess:  # it ended since it was listed
        return False


class Engine:
    """One `token-engine run`, from start to stop. The data directory outlives it."""

    def __init__(
        self,
        data: Path,
        *arguments: str,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        cwd: Path | None = None,
        wait: bool = True,
    ) -> None:
        self.data = data
        self.port = port or ports.choose([])
        self.url = f"http://127.0.0.1:{self.port}"
        data.parent.mkdir(parents=True, exist_ok=True)
        self.log_file = data.parent / f"{data.name}.{self.port}.{time.monotonic_ns()}.log"
        command = [*prefix, *COMMAND, "run", "--data", str(data), "--port", str(self.port), *arguments]
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment(env), cwd=cwd
            )
        self.http = httpx2.Client(base_url=self.url, timeout=60)
        if wait:
            self.wait_ready()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    @property
    def log(self) -> str:
        return self.log_file.read_text("utf-8")

    def wait_ready(self, seconds: float = 60) -> None:
        wait_for(lambda: READY in self.log or self.process.poll() is not None, seconds)
        assert self.process.poll() is None, self.log

    def stop(self, number: signal.Signals = signal.SIGINT, seconds: float = 15) -> int:
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """kill -9, and wait until the servers that it leaves have noticed."""
        children = self.children()
        self.process.kill()
        self.process.wait()
        psutil.wait_procs(children, timeout=10)

    def children(self) -> list[psutil.Process]:
        found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return found

    def servers(self, name: str) -> list[psutil.Process]:
        """Its own `postgres` (the postmaster) or `nats-server`: none for a moment after that was killed. Its children
        only: a server's have the server's name, and outlive it for a moment.
        """
        return [p for p in psutil.Process(self.process.pid).children() if _is_called(p, name)]

    def kill_server(self, name: str) -> None:
        """kill -9 of one of its servers, and wait until the engine has started another."""
        [victim] = self.servers(name)
        victim.kill()

        wait_for(lambda: [p for p in self.servers(name) if p.pid != victim.pid])

    @property
    def database_url(self) -> str:
        return str(self._connections()["database_url"])

    @property
    def nats_url(self) -> str:
        return str(self._connections()["nats_url"])

    def _connections(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.data / "connections.json").read_bytes())
        return content

    def cli(
        self, *arguments: str | Path, stdin: bytes = b"", seconds: float = 60
    ) -> subprocess.CompletedProcess[bytes]:
        """A command on this engine's data directory."""
        name, *rest = arguments
        words = (
            [name, *rest, "--data", self.data]
            if name not in ("accounts", "connection", "discrepancies", "payouts", "policy", "polling")
            else [name, rest[0], "--data", self.data, *rest[1:]]
        )
        return run_command(*words, stdin=stdin, seconds=seconds)

    # What most tests ask of the API.

    def get(self, path: str, status: int = 200) -> Any:
        """`data` of an answer that must be a success."""
        answer = self.http.get(path)
        assert answer.status_code == status, answer.text
        body = answer.json()
        assert body["success"] is True
        return body["data"]

    def send(self, content: bytes | str | Mapping[str, Any], **headers: str) -> httpx2.Response:
        """Through the HTTP door for notifications."""
        raw = content if isinstance(content, bytes | str) else json.dumps(content)
        named = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return self.http.post(CAMT054, content=raw, headers=named)

    def create_account(self, number: str, currency: str = "AED", **more: Any) -> dict[str, Any]:
        wanted = {"account_number": number, "currency": currency, "bank": "Test Bank"} | more
        answer = self.http.post(f"{V1}/accounts", json=wanted)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()["data"]
        return made

    def account(self, name: str) -> dict[str, Any]:
        view: dict[str, Any] = self.get(f"{V1}/accounts/{name}")
        return view

    def balance(self, name: str) -> str:
        return str(self.account(name)["bank_reported_balance"])


@contextlib.contextmanager
def engine(data: Path, *arguments: str, **more: Any) -> Iterator[Engine]:
    with Engine(data, *arguments, **more) as running:
        yield running


def notification(message_id: str, account: str, amount: str = "10.00", **more: Any) -> dict[str, Any]:
    """The specification's JSON form of a credit in dirhams."""
    return {
        "message_id": message_id,
        "account_id": account,
        "currency": "AED",
        "credit_debit_indicator": "CRDT",
        "amount": amount,
    } | more
