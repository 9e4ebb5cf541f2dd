"""Owns embedded servers in a process of its own, ``owner.py DATA_DIR``: prints pids and URLs, waits to be killed."""

import json
import signal
import sys
from pathlib import Path

from app.embedded import start_postgres, start_valkey

servers = [start_postgres(Path(sys.argv[1]), durable=False), start_valkey(Path(sys.argv[1]))]
print(json.dumps([{"pid": server.pid, "url": server.url} for server in servers]), flush=True)  # noqa: T201
signal.pause()
