"""A load of high priority that never ends keeps nobody waiting for ever: the bound is that of docs/api.md, "Order"."""

import signal
from pathlib import Path

import redis

from app.queue import PRIORITY_BOOST_MS, STARVATION_MS
from schemas.limits import PRIORITY_MAX, PRIORITY_MIN
from tests.support.installation import Headway, Installation, noop
from tests.support.processes import until

BOUND_S = (STARVATION_MS + (PRIORITY_MAX - PRIORITY_MIN) * PRIORITY_BOOST_MS) / 1000
AGE = "UPDATE stages SET queued_at = queued_at - $2::float8 * interval '1 second' WHERE uuid = $1"
STARTED = """
SELECT p.name FROM attempts AS a JOIN pipelines AS p ON p.id = a.pipeline_id ORDER BY a.started_at, p.name"""
LOAD = 30


async def test_the_lowest_starts_next_when_its_bound_is_over_and_not_before(tmp_path: Path):
    """One slot, and training that always waits for it. What the two others have waited is moved back, not waited."""
    async with (
        Installation(tmp_path, worker_inline_concurrency=1) as installation,
        Headway(installation.url) as headway,
    ):
        installation.api()
        installation.scheduler()
        worker = installation.worker()
        await installation.ready()
        worker.send(signal.SIGTERM)  # it has said which tasks there are
        await worker.ended()
        low = {"queue": "maintenance", "priority": PRIORITY_MIN}
        for name, age_s in {"overdue": BOUND_S + 1, "almost": BOUND_S - 60}.items():
            task = await headway.tasks.submit({"task": "noop", "name": name, **low})
            await installation.query(AGE, task.task_id, age_s)
        load = [noop(f"n{number}", queue="training") for number in range(LOAD)]
        await headway.submit(*load, name="load", priority=PRIORITY_MAX)
        with redis.Redis.from_url(installation.valkey.url) as client:
            client.flushall()  # so that all are dispatched again, as old as Postgres has them
        await until(lambda: installation.jobs_waiting() == LOAD + 2, "not everything was dispatched again")

        installation.worker()

        async def all_started() -> bool:
            return len(await installation.query(STARTED)) == LOAD + 2

        await until(all_started, "something was never started")
        started = [row["name"] for row in await installation.query(STARTED)]
        assert started == ["overdue", *["load"] * LOAD, "almost"]
