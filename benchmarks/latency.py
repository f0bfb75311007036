"""Publish to commit, at a steady rate that does not wait for answers.

A process of its own publishes message i at start + i / rate, whatever happened to those before it, and a
latency counts from that planned time: a stall is paid by every message that it delays (no coordinated
omission). Of each message four moments are taken:

* sent, and stored: what the publisher and JetStream took of the whole;
* committed: PostgreSQL's time stamp of the transaction, which it takes before the flush to disk, and the mean
  flush of the same run on top;
* acknowledged: when the engine's acknowledgement, which it sends after the commit, has reached the publisher.

    python -m benchmarks.latency NATS_URL RATE SECONDS ACCOUNTS     the publisher; prints its moments as JSON
"""

from __future__ import annotations

import json
import math
import select
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from statistics import quantiles
from typing import Any, Final

import psycopg

from benchmarks.figure import Figure
from benchmarks.servers import Arena, Servers, free_port, run_module
from benchmarks.wire import Wire, publication
from benchmarks.workload import SUBJECT, Workload, check, expect_all

RATE: Final = 2_000
SECONDS: Final = 15
WARM_UP_SECONDS: Final = 3
ACCOUNTS: Final = 1_000
_LATE_SECONDS: Final = 60
_PATIENCE: Final = 0.5
_STORED: Final = "_INBOX.stored"


def run(servers: Servers, *, expected: bool = False) -> Iterator[Figure]:
    """Median and 99th percentile until each of the four moments. `expected`: each message meets a funding or payout."""
    with ExitStack() as stack:
        arena = stack.enter_context(servers.arena(ACCOUNTS))
        if expected:
            expect_all(arena.database_url, Workload(RATE * (WARM_UP_SECONDS + SECONDS), ACCOUNTS))
        processes = stack.enter_context(arena.running([arena.engine(port := free_port())]))
        processes[0].wait_for_http(f"http://127.0.0.1:{port}/api/v1/reconciliation/health")
        arguments = [arena.nats_url, str(RATE), str(WARM_UP_SECONDS + SECONDS), str(ACCOUNTS)]
        answer = run_module("benchmarks.latency", *arguments, within=SECONDS + 2 * _LATE_SECONDS)
        check(arena.database_url, Workload(RATE * (WARM_UP_SECONDS + SECONDS), ACCOUNTS))
        moments = json.loads(answer)
        planned = [moments["start"] + place / RATE for place in range(RATE * (WARM_UP_SECONDS + SECONDS))]
        moments["committed"] = _committed_at(arena)
    for what in ("sent", "stored", "committed", "acknowledged"):
        pairs = zip(moments[what], planned, strict=True)
        late = [(at - plan) * 1000 for at, plan in pairs][RATE * WARM_UP_SECONDS :]
        percentiles = quantiles(late, n=100)
        yield Figure(f"{RATE:,}/s offered, {what} after, p50", percentiles[49], "ms")
        yield Figure(f"{RATE:,}/s offered, {what} after, p99", percentiles[98], "ms")


def _committed_at(arena: Arena) -> list[float]:
    """When each message's transaction was on the disk, in the order of publication, in seconds of Unix time."""
    with psycopg.connect(arena.database_url) as connection:
        stamps = connection.execute(
            "SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM bank_messages"
            " ORDER BY bank_message_id"  # numbered as published
        ).fetchall()
    flush = arena.mean_flush_seconds()
    return [stamp + flush for (stamp,) in stamps]


def publish(url: str, rate: int, seconds: int, accounts: int) -> dict[str, Any]:
    """`start`, and in the order of publication when each message was sent, when JetStream said that it is
    stored, and when the engine's acknowledgement came: all in seconds of Unix time.
    """
    commands = [publication(SUBJECT, body, _STORED) for body in Workload(rate * seconds, accounts).bodies()]
    wire = Wire(url)
    wire.subscribe(_STORED)
    wire.subscribe("$JS.ACK.>")
    sent_at: list[float] = []
    read: list[tuple[float, bytes]] = []
    moments = _Moments(len(commands))
    start = time.perf_counter() + 0.1
    deadline = start + seconds + _LATE_SECONDS
    while True:
        now = time.perf_counter()
        due = min(len(commands), int((now - start) * rate) + 1) if now >= start else 0
        while len(sent_at) < due:
            wire.socket.sendall(commands[len(sent_at)])
            sent_at.append(time.perf_counter())
        until_next = _PATIENCE if len(sent_at) == len(commands) else start + len(sent_at) / rate - time.perf_counter()
        if select.select([wire.socket], [], [], max(until_next, 0))[0]:
            # What was read is looked at later: this process shares its cores with what it measures.
            read.append((time.perf_counter(), wire.read()))
        elif len(sent_at) == len(commands):
            for at, data in read:
                moments.note(at, wire.messages(data))
            read.clear()
            if moments.acknowledged == len(commands):
                break
            if now > deadline:
                raise TimeoutError(f"{moments.acknowledged} of {len(commands)} messages were acknowledged")
    wire.close()
    of_each = {"sent": sent_at, "stored": moments.stored_at, "acknowledged": moments.acknowledged_at}
    clock = time.time() - time.perf_counter()
    return {"start": start + clock} | {what: [at + clock for at in of_all] for what, of_all in of_each.items()}


class _Moments:
    """When JetStream stored each message, and when the engine acknowledged it first."""

    def __init__(self, count: int) -> None:
        self.stored_at = [math.nan] * count
        self.acknowledged_at = [math.nan] * count
        self.acknowledged = 0

    def note(self, at: float, messages: Iterable[tuple[str, bytes]]) -> None:
        for subject, content in messages:
            if subject == _STORED:
                self.stored_at[json.loads(content)["seq"] - 1] = at
            elif math.isnan(self.acknowledged_at[place := _stream_sequence(subject) - 1]):
                self.acknowledged_at[place] = at
                self.acknowledged += 1


def _stream_sequence(subject: str) -> int:
    """From `$JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.…`, perhaps with domain and account before STREAM."""
    tokens = subject.split(".")
    return int(tokens[5] if len(tokens) == 9 else tokens[7])


if __name__ == "__main__":
    _url, _rate, _seconds, _accounts = sys.argv[1:]
    json.dump(publish(_url, int(_rate), int(_seconds), int(_accounts)), sys.stdout)
