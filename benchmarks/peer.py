"""What the fastest peer library on PyPI does with a camt.053: read it. Its environment has nothing else."""

import json
import resource
import sys
import time

from camt053 import parse_document  # type: ignore[import-not-found]

started = time.perf_counter()
with open(sys.argv[1], encoding="utf-8") as file:
    document = parse_document(file.read())
seconds = time.perf_counter() - started
entries = sum(len(statement.entries) for statement in document.statements)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"rate": entries / seconds, "peak": peak, "entries": entries}))
