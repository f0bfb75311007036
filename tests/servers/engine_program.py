"""A stand-in for the engine, to be killed: starts both servers in DIR, says where they are, waits.

engine_program.py DIR [rename]      with `rename`, it dies by its own hand just before the new
                                    database gets its name
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

from token_engine.servers import DataDirectory, EmbeddedNats, EmbeddedPostgres, cluster


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    if "rename" in sys.argv:
        vars(cluster)["rename"] = die
    with DataDirectory(Path(sys.argv[1])) as data:
        postgres = EmbeddedPostgres(data.path / "postgres")
        nats = EmbeddedNats(data.path / "nats", preferred_port=None)
        try:
            # Each in a thread that ends at once, as worker threads do: the servers must not end with it.
            for server in (postgres, nats):
                thread = threading.Thread(target=server.start, args=(lambda text: print(text, file=sys.stderr),))
                thread.start()
                thread.join()
            where = {
                "postgres": [postgres.pid, postgres.url],
                "nats": [nats.pid, nats.url],
                "uid": os.geteuid(),
            }
            print(json.dumps(where), flush=True)
            sys.stdin.read()
        finally:
            nats.stop()
            postgres.stop()


if __name__ == "__main__":
    main()
