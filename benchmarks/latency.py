"""Publish to commit, at a steady rate that does not wait for answers.

A process of its own publishes message i at start + i / rate, whatever happened to those before it, and a
latency counts from that planned time: a stall is paid by every message that it delays (no coordinated
omission). The end is the arrival of the engine's acknowledgement, which it sends after the commit and
which any NATS client may listen to: one clock, one process, and rather too long than too short, since it
includes the way of the acknowledgement. (PostgreSQL's commit timestamp would flatter: it is taken before
the flush to disk.)

    python -m benchmarks.latency NATS_URL RATE SECONDS ACCOUNTS     the publisher; prints latencies as JSON
"""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Iterator
from itertools import islice
from statistics import quantiles
from typing import Final

from benchmarks.figure import Figure
from benchmarks.servers import Servers, free_port, run_module
from benchmarks.wire import Wire
from benchmarks.workload import SUBJECT, Workload, check

RATE: Final = 2_000
SECONDS: Final = 15
WARM_UP_SECONDS: Final = 3
ACCOUNTS: Final = 1_000
_LATE_SECONDS: Final = 60


def run(servers: Servers) -> Iterator[Figure]:
    """The median and the 99th percentile."""
    with servers.arena(ACCOUNTS) as arena, arena.running([arena.engine(port := free_port())]) as processes:
        processes[0].wait_for_http(f"http://127.0.0.1:{port}/api/v1/reconciliation/health")
        arguments = [arena.nats_url, str(RATE), str(WARM_UP_SECONDS + SECONDS), str(ACCOUNTS)]
        answer = run_module("benchmarks.latency", *arguments, within=SECONDS + 2 * _LATE_SECONDS)
        check(arena.database_url, Workload(RATE * (WARM_UP_SECONDS + SECONDS), ACCOUNTS))
    latencies = json.loads(answer)[RATE * WARM_UP_SECONDS :]
    cuts = quantiles(latencies, n=1000)
    for name, cut in (("p50", 500), ("p99", 990), ("p99.9", 999)):
        yield Figure(f"publish to commit at {RATE:,}/s, {name}", cuts[cut - 1], "ms")


def publish(url: str, rate: int, seconds: int, accounts: int) -> list[float]:
    """Milliseconds from planned publication to acknowledgement, in the order of publication."""
    bodies = list(Workload(rate * seconds, accounts).bodies())
    wire = Wire(url)
    wire.subscribe("$JS.ACK.>")
    acknowledged: list[float | None] = [None] * len(bodies)
    missing, sent = len(bodies), 0
    start = time.perf_counter() + 0.1
    deadline = start + seconds + _LATE_SECONDS
    while missing:
        now = time.perf_counter()
        if now > deadline:
            raise TimeoutError(f"{missing} of {len(bodies)} messages were not acknowledged")
        due = min(len(bodies), int((now - start) * rate) + 1) if now >= start else 0
        for one in islice(bodies, sent, due):
            wire.publish(SUBJECT, one)
        sent = max(sent, due)
        until_next = start + sent / rate - time.perf_counter() if sent < len(bodies) else 1.0
        if select.select([wire.socket], [], [], max(until_next, 0))[0]:
            messages = wire.received()
            now = time.perf_counter()
            for subject, _ in messages:
                place = _stream_sequence(subject) - 1
                if acknowledged[place] is None:
                    acknowledged[place] = now
                    missing -= 1
    wire.close()
    return [(at - start - i / rate) * 1000 for i, at in enumerate(acknowledged) if at is not None]


def _stream_sequence(subject: str) -> int:
    """From `$JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.…`, perhaps with domain and account before STREAM."""
    tokens = subject.split(".")
    return int(tokens[5] if len(tokens) == 9 else tokens[7])


if __name__ == "__main__":
    _url, _rate, _seconds, _accounts = sys.argv[1:]
    json.dump(publish(_url, int(_rate), int(_seconds), int(_accounts)), sys.stdout)
