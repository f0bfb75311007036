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
import math
import select
import sys
import time
from collections.abc import Iterator
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
_STORED: Final = "_INBOX.stored"


def run(servers: Servers) -> Iterator[Figure]:
    """How late the publisher itself was, what JetStream took to store, and the whole until the commit."""
    with servers.arena(ACCOUNTS) as arena, arena.running([arena.engine(port := free_port())]) as processes:
        processes[0].wait_for_http(f"http://127.0.0.1:{port}/api/v1/reconciliation/health")
        arguments = [arena.nats_url, str(RATE), str(WARM_UP_SECONDS + SECONDS), str(ACCOUNTS)]
        answer = run_module("benchmarks.latency", *arguments, within=SECONDS + 2 * _LATE_SECONDS)
        check(arena.database_url, Workload(RATE * (WARM_UP_SECONDS + SECONDS), ACCOUNTS))
    latencies = json.loads(answer)
    for what, percentile in (("sent", 99), ("stored", 50), ("stored", 99), ("committed", 50), ("committed", 99)):
        value = quantiles(latencies[what][RATE * WARM_UP_SECONDS :], n=100)[percentile - 1]
        yield Figure(f"{RATE:,}/s offered, {what} after, p{percentile}", value, "ms")


def publish(url: str, rate: int, seconds: int, accounts: int) -> dict[str, list[float]]:
    """Milliseconds from planned publication, in the order of publication: until sent, until JetStream said
    that it is stored, and until the engine acknowledged.
    """
    bodies = list(Workload(rate * seconds, accounts).bodies())
    wire = Wire(url)
    wire.subscribe(_STORED)
    wire.subscribe("$JS.ACK.>")
    sent_at, stored_at, acknowledged_at = ([math.nan] * len(bodies) for _ in range(3))
    acknowledged, sent = 0, 0
    start = time.perf_counter() + 0.1
    deadline = start + seconds + _LATE_SECONDS
    while acknowledged < len(bodies):
        now = time.perf_counter()
        if now > deadline:
            raise TimeoutError(f"{acknowledged} of {len(bodies)} messages were acknowledged")
        due = min(len(bodies), int((now - start) * rate) + 1) if now >= start else 0
        while sent < due:
            wire.publish(SUBJECT, bodies[sent], _STORED)
            sent_at[sent] = time.perf_counter()
            sent += 1
        until_next = start + sent / rate - time.perf_counter() if sent < len(bodies) else 1.0
        if select.select([wire.socket], [], [], max(until_next, 0))[0]:
            messages = wire.received()
            now = time.perf_counter()
            for subject, content in messages:
                if subject == _STORED:
                    stored_at[json.loads(content)["seq"] - 1] = now
                elif math.isnan(acknowledged_at[place := _stream_sequence(subject) - 1]):
                    acknowledged_at[place] = now
                    acknowledged += 1
    wire.close()
    moments = {"sent": sent_at, "stored": stored_at, "committed": acknowledged_at}
    return {
        what: [(at - start - place / rate) * 1000 for place, at in enumerate(of_all)]
        for what, of_all in moments.items()
    }


def _stream_sequence(subject: str) -> int:
    """From `$JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.…`, perhaps with domain and account before STREAM."""
    tokens = subject.split(".")
    return int(tokens[5] if len(tokens) == 9 else tokens[7])


if __name__ == "__main__":
    _url, _rate, _seconds, _accounts = sys.argv[1:]
    json.dump(publish(_url, int(_rate), int(_seconds), int(_accounts)), sys.stdout)
