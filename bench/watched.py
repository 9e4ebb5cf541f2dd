"""What Postgres tells of Headway's own runs: how many transactions they took, and how one stage followed another."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from statistics import median, quantiles
from typing import Any, NamedTuple

from app.db.pool import open_session
from bench import headway
from bench.headway import Installation
from bench.workloads import WORKLOADS

CHAINS = ("chain-100", "light-40")
PLACE = "SELECT pg_current_wal_flush_lsn()::text"
COMMITS = """
SELECT count::bigint FROM pg_get_wal_stats($1::text::pg_lsn, pg_current_wal_flush_lsn(), true)
 WHERE "resource_manager/record_type" = 'Transaction/COMMIT'"""
"""In the write-ahead log, so those that wrote something; a transaction that only reads leaves no trace there."""
FOLLOWED = """
SELECT 1000 * extract(epoch FROM s.started_at - before.finished_at)::float8 AS headway_ms,
       1000 * extract(epoch FROM s.finished_at - before.finished_at)::float8 AS whole_ms
  FROM pipelines AS p
  JOIN dependencies AS d ON d.pipeline_id = p.id
  JOIN stages AS s ON s.pipeline_id = p.id AND s.position = d.stage
  JOIN stages AS before ON before.pipeline_id = p.id AND before.position = d.depends_on
 WHERE p.uuid = $1"""


class Run(NamedTuple):
    """One run of a workload."""

    uuid: str
    seconds: float
    commits: int


class Watched:
    """Runs workloads on an installation and remembers what Postgres can tell of them."""

    def __init__(self, installation: Installation) -> None:
        self._client, self._url = installation.client, installation.postgres.url
        asyncio.run(self._value("CREATE EXTENSION IF NOT EXISTS pg_walinspect"))
        self._runs: dict[str, list[Run]] = defaultdict(list)

    def seconds(self, name: str) -> dict[str, float]:
        """Run a workload to its end."""
        workload = WORKLOADS[name]
        path = headway.create(self._client, name, workload)
        before = asyncio.run(self._value(PLACE))
        took = headway.run(self._client, [path], len(workload.shape()))
        commits = asyncio.run(self._value(COMMITS, before))
        self._runs[name].append(Run(path.rpartition("/")[2], took, commits))
        return {"headway": took}

    def figures(self, limits: Mapping[str, float]) -> dict[str, dict[str, float]]:
        """Commits, with their share of each of these limits a second, and the headway of chains; warm-ups left out."""
        runs = {name: all_of[1:] for name, all_of in self._runs.items()}
        chains = {name: self._followed(runs[name]) for name in CHAINS if name in runs}
        told = {
            "commits": {name: _commits(name, of, limits) for name, of in runs.items()},
            "headway": chains,
        }
        return {
            measure: {f"{name}: {what}": figure for name, row in rows.items() for what, figure in row.items()}
            for measure, rows in told.items()
        }

    def _followed(self, runs: list[Run]) -> dict[str, float]:
        """From the end of a stage to the start of the next, and to its end, by the times of their events.

        Where one transaction ended a stage and started the next, both have its time: then only the end tells something.
        """
        gaps = asyncio.run(self._gaps([run.uuid for run in runs]))
        told = {"started with the end %": 100 * sum(started == 0 for started, _ in gaps) / len(gaps)}
        for what, times in zip(("end to start", "end to end"), zip(*gaps, strict=True), strict=True):
            percentiles = quantiles(times, n=100)
            told |= {f"{what} p50 ms": percentiles[49], f"{what} p99 ms": percentiles[98]}
        return told

    async def _value(self, query: str, *arguments: object) -> Any:
        session = await open_session(self._url)
        try:
            return await session.fetchval(query, *arguments)
        finally:
            await session.close()

    async def _gaps(self, uuids: list[str]) -> list[tuple[float, float]]:
        session = await open_session(self._url)
        try:
            return [tuple(row) for uuid in uuids for row in await session.fetch(FOLLOWED, uuid)]
        finally:
            await session.close()


def _commits(name: str, runs: list[Run], limits: Mapping[str, float]) -> dict[str, float]:
    stages = len(WORKLOADS[name].shape())
    rate = median(run.commits / run.seconds for run in runs)
    told = {"commits/stage": median(run.commits / stages for run in runs), "commits/s": rate}
    return told | {f"% of {name}": 100 * rate / limit for name, limit in limits.items()}
