"""The engine's settings for its own PostgreSQL. Rewritten at each start: this version's word counts.

An operator's own settings go into postgresql.conf below the include line, where they win.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

INCLUDE: Final = "include '../engine.conf'"  # relative to postgresql.conf: no path to quote, nor to go stale

_TEXT: Final = """\
# Written by token-engine at each start. Your own settings belong in data/postgresql.conf.

# Loopback TCP only: the path of a Unix socket may not exceed 107 bytes, and data directories do.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
update_process_title = off
max_connections = 100
password_encryption = 'scram-sha-256'

# Money: what is committed is on the disk.
fsync = on
synchronous_commit = on
full_page_writes = on

# A small machine, many short writing transactions.
shared_buffers = '256MB'
effective_cache_size = '1GB'
random_page_cost = 1.1
wal_compression = {wal_compression}
max_wal_size = '2GB'
wal_buffers = '64MB'
checkpoint_timeout = '15min'
jit = off

# Positions and breakers are few rows, updated all the time: clean up early.
autovacuum = on
autovacuum_naptime = '15s'
# Gently, and from few samples: what it does beside Tier 1 makes notifications wait, and after each analysis the
# statements of the road are planned anew.
autovacuum_vacuum_cost_delay = '10ms'
default_statistics_target = 20
autovacuum_vacuum_scale_factor = 0.02
autovacuum_vacuum_insert_scale_factor = 0.05
autovacuum_analyze_scale_factor = 0.02

# One file for each day of the week; a week later it is overwritten. Nothing grows for ever.
logging_collector = on
log_directory = '../log'
log_filename = 'postgresql-%a.log'
log_file_mode = 0600
log_rotation_age = '1d'
log_rotation_size = 0
log_truncate_on_rotation = on
log_min_messages = warning
log_line_prefix = '%m [%p] %q%u@%d '
log_timezone = 'UTC'

timezone = 'UTC'
lc_messages = 'C'
"""


def settings(port: int, postgres_bin: Path) -> bytes:
    """The content of engine.conf."""
    return _TEXT.format(port=port, wal_compression=_wal_compression(postgres_bin)).encode()


def _wal_compression(postgres_bin: Path) -> str:
    """lz4 costs the least CPU, but not every build has it; `on` is pglz, which every build has."""
    try:
        built = subprocess.run(  # noqa: S603
            [str(postgres_bin / "pg_config"), "--configure"], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        built = ""
    return "lz4" if "--with-lz4" in built else "on"
