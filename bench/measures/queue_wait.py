"""How long stages wait on each of the five queues when all are full at once, and one worker serves them all."""

import asyncio

from app.db.pool import open_session
from bench import headway
from bench.headway import Installation
from schemas.queue import QUEUES_BY_PRIORITY

PER_QUEUE = 400
WAITED = """
SELECT s.queue, percentile_cont(0.5) WITHIN GROUP (ORDER BY w.ms) AS p50, max(w.ms) AS longest
  FROM stages AS s JOIN pipelines AS p ON p.id = s.pipeline_id
 CROSS JOIN LATERAL (SELECT 1000 * extract(epoch FROM s.started_at - s.queued_at)::float8 AS ms) AS w
 WHERE p.uuid = $1 GROUP BY s.queue"""


def measure(installation: Installation) -> dict[str, float]:
    """Medians and maxima in milliseconds, the most important queue first."""
    stages = [
        {"name": f"{queue}-{n}", "task": "noop", "queue": queue}
        for n in range(PER_QUEUE)
        for queue in QUEUES_BY_PRIORITY
    ]
    body = {"name": "mixed", "stages": stages, "start": True}
    uuid = installation.client.post("/api/v1/pipelines", json=body).raise_for_status().json()["uuid"]
    headway.told_to_the_end(installation.client, f"/api/v1/pipelines/{uuid}")
    waited = asyncio.run(_waited(installation.postgres.url, uuid))
    return {f"{queue}: {what} ms": waited[queue][what] for queue in QUEUES_BY_PRIORITY for what in ("p50", "longest")}


async def _waited(url: str, uuid: str) -> dict[str, dict[str, float]]:
    session = await open_session(url)
    try:
        return {row["queue"]: dict(row) for row in await session.fetch(WAITED, uuid)}
    finally:
        await session.close()
