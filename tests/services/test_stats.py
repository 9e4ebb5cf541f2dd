"""Statistics: every end is counted once, whoever counts and whenever; nothing looks at history."""

import asyncio
import random
from collections import Counter
from datetime import timedelta

import pytest

from app.db import stats as db
from app.scheduler.rollup import RollUp
from app.services import pipelines, queues, stats
from schemas.queue import Queue, Slot
from schemas.states import STAGE_TERMINAL, Outcome
from tests.support.pipelines import CHAIN, fan, submit
from tests.support.workers import a_worker, ending, requests_of

ENDS = (
    "SELECT count(*) FROM events WHERE type IN ('stage.completed', 'stage.failed', 'stage.skipped', 'stage.cancelled')"
)


@pytest.fixture
def rollup(pool):
    return RollUp(pool)


@pytest.fixture
def count_all(pool, rollup):
    """Count until nothing is left: whoever analyses a table just now holds it up for a moment."""

    async def count_all():
        counted, now = 0, await pool.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        async with asyncio.timeout(30):
            while await pool.fetchval("SELECT place FROM stats_cursor") < now:
                counted += await rollup.run_once()
                await asyncio.sleep(0.01)
        return counted

    return count_all


async def ended(pool):
    """How often stages have ended, by how they did."""
    found = (await stats.overview(pool)).by_status
    return {str(status): found[status] for status in STAGE_TERMINAL if found[status]}


async def test_what_has_ended_is_counted_by_status_queue_and_task(pool, count_all):
    worker = await a_worker(pool)
    training = await submit(pool, CHAIN, task="train_model", queue=Queue.TRAINING)
    other = await submit(pool, fan(3))
    await worker.complete(training, "a")
    await training.release()
    await worker.fail(training, "b")
    await training.release()
    await worker.complete(other, "s0")
    await pipelines.cancel(pool, other.uuid)
    assert await count_all() == 6
    found = await stats.overview(pool)
    assert {status: count for status, count in found.by_status.items() if count} == {
        "completed": 2,
        "failed": 1,
        "skipped": 1,
        "cancelled": 2,
    }
    assert found.by_queue[Queue.TRAINING] == {"completed": 1, "failed": 1, "skipped": 1}
    assert found.by_queue[Queue.EVALUATION] == {}
    assert found.by_task == {
        "noop": {"completed": 1, "cancelled": 2},
        "train_model": {"completed": 1, "failed": 1, "skipped": 1},
    }


async def test_what_lives_is_counted_as_it_is_now(pool):
    worker = await a_worker(pool)
    pipeline = await submit(pool, {"a": (), "b": (), "c": (), "d": ("a",)}, max_retries=1)
    await worker.claim(pipeline, "b")
    await worker.fail(pipeline, "c", retry_delay_s=60)
    found = (await stats.overview(pool)).by_status
    assert {status: count for status, count in found.items() if count} == {
        "pending": 1,
        "queued": 1,
        "running": 1,
        "retrying": 1,
    }


async def test_nothing_is_counted_twice(pool, count_all):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.complete(pipeline, "a")
    assert [await count_all() for _ in range(3)] == [1, 0, 0]
    assert await ended(pool) == {"completed": 1}


async def test_who_comes_while_another_counts_has_nothing_to_do(pool, rollup, count_all):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.complete(pipeline, "a")
    async with pool.acquire() as c, c.transaction():
        await c.execute("SELECT FROM stats_cursor FOR UPDATE")
        async with asyncio.timeout(5):
            assert await rollup.run_once() == 0
    assert await count_all() == 1


async def test_a_commit_that_comes_late_is_counted_when_it_comes(pool, rollup, count_all):
    """An older transaction that is still under way holds back what younger ones have committed: none is passed over."""
    early, late, worker = await submit(pool), await submit(pool), await a_worker(pool)
    (claim,) = await worker.claim(early, "a")
    async with pool.acquire() as c, c.transaction():
        from app.db import stages  # noqa: PLC0415 - the very call, in a transaction that the test holds open

        await stages.complete(c, [ending(claim)], wait=False)
        await worker.complete(late, "a")
        assert await rollup.run_once() == 0
    assert await count_all() == 2


async def test_a_roll_up_that_is_undone_has_not_counted(pool, count_all):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.complete(pipeline, "a")
    async with pool.acquire() as c:
        transaction = c.transaction()
        await transaction.start()
        assert (await db.count_ends(c, 100)).counted == 1
        await transaction.rollback()
    assert await ended(pool) == {}
    assert await count_all() == 1


@pytest.mark.parametrize("batch", [1, 2, 7])
async def test_batches_end_between_transactions_and_lose_nothing(pool, monkeypatch, batch, count_all):
    monkeypatch.setattr(stats, "COUNTED_AT_ONCE", batch)
    worker = await a_worker(pool)
    for _ in range(3):
        pipeline = await submit(pool, fan(5))
        await worker.complete(pipeline, "s0", "s1", "s2")
        await pipelines.cancel(pool, pipeline.uuid)
    assert await count_all() == 15
    assert await ended(pool) == {"completed": 9, "cancelled": 6}


async def test_what_ended_before_anybody_counted_is_in_the_totals_of_the_migration_and_not_counted_again(
    pool, count_all
):
    pipeline, worker = await submit(pool, fan(2)), await a_worker(pool)
    await worker.complete(pipeline, "s0")
    await pool.execute("UPDATE stats_cursor SET place = 0, since = clock_timestamp()")
    await worker.complete(pipeline, "s1")
    assert await count_all() == 1


async def test_a_stage_that_is_retried_ends_again(pool, count_all):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.fail(pipeline, "a")
    await pipeline.release()
    await pipelines.retry(pool, pipeline.uuid)
    await worker.complete(pipeline, "a")
    await count_all()
    assert await ended(pool) == {"failed": 1, "completed": 1}


async def test_deleting_a_pipeline_takes_nothing_away(pool, count_all):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await pipeline.release()
    await count_all()
    await pipelines.delete(pool, pipeline.uuid)
    assert await ended(pool) == {"completed": 1}


async def test_the_last_hour_has_counts_and_durations_by_task(pool, count_all):
    worker = await a_worker(pool)
    pipeline = await submit(pool, fan(11))
    claims = await worker.claim(pipeline, *(f"s{number}" for number in range(11)))
    for seconds, claim in zip([*range(1, 10), 100], claims, strict=False):
        await pool.execute(
            "UPDATE attempts SET started_at = started_at - $2::interval WHERE lease_token = $1",
            claim.lease_token,
            timedelta(seconds=seconds),
        )
    await worker.report(*(ending(claim) for claim in claims[:10]), ending(claims[10], Outcome.FAILED))
    await count_all()
    (found,) = (await stats.overview(pool)).last_hour
    assert (found.task, found.completed, found.failed) == ("noop", 10, 1)
    assert found.mean_s == pytest.approx(14.5, abs=0.5)
    assert found.p50_s == pytest.approx(5, rel=0.2)
    assert found.max_s == pytest.approx(100, abs=0.5)


async def test_what_failed_while_it_waited_has_no_duration(pool, count_all):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.fail(pipeline, "a")
    await pool.execute("UPDATE attempts SET finished_at = finished_at + interval '1 minute'")
    await count_all()
    (found,) = (await stats.overview(pool)).last_hour
    assert (found.completed, found.failed, found.mean_s, found.p50_s, found.max_s) == (0, 1, None, None, None)
    assert await pool.fetchval("SELECT bucket FROM stats_minutes") is None


async def test_the_last_hour_forgets_and_a_day_is_kept(pool, count_all):
    pipeline, worker = await submit(pool), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await count_all()
    for age, shown, kept in (("59 min", 1, 1), ("62 min", 0, 1), ("1440 min", 0, 0)):
        await pool.execute(
            f"UPDATE stats_minutes SET minute = date_trunc('minute', clock_timestamp()) - interval '{age}'"
        )
        await submit(pool)  # the cursor has to move
        await count_all()
        assert len((await stats.overview(pool)).last_hour) == shown, age
        assert await pool.fetchval("SELECT count(*) FROM stats_minutes") == kept, age


async def test_every_end_is_counted_once_while_many_work_and_many_count(pool, rollup, count_all):
    """Writers that overlap, roll back and come late; three schedulers that count all the time."""
    working = True

    async def count():
        while working:
            await rollup.run_once()
            await asyncio.sleep(random.uniform(0, 0.01))

    async def work(number):
        worker = await a_worker(pool)
        for turn in range(8):
            pipeline = await submit(pool, fan(6), task=f"t{number % 2}")
            rows = await pool.fetch("SELECT uuid, dispatch_token FROM stages WHERE pipeline_id = $1", pipeline.id)
            claims = (await worker.ask(requests_of(rows))).claims
            good, bad = claims[:4], claims[4:5]
            await worker.report(*map(ending, good), *(ending(claim, Outcome.FAILED) for claim in bad))
            if turn % 2:
                await pipelines.cancel(pool, pipeline.uuid)
                await worker.report(ending(claims[5], Outcome.CANCELLED))
            await pipeline.release()

    async with asyncio.TaskGroup() as tasks:
        counting = [tasks.create_task(count()) for _ in range(3)]
        async with asyncio.TaskGroup() as working_tasks:
            for number in range(3):
                working_tasks.create_task(work(number))
        working = False
    await asyncio.gather(*counting)
    await count_all()
    assert Counter(await ended(pool)) == {"completed": 96, "failed": 24, "cancelled": 12}
    assert sum((await ended(pool)).values()) == await pool.fetchval(ENDS)


async def test_queues_are_in_the_order_of_their_priority_with_what_waits_in_them(pool):
    worker = await a_worker(pool)
    pipeline = await submit(pool, fan(3), queue=Queue.MAINTENANCE)
    await worker.claim(pipeline, "s0")
    await pool.execute("UPDATE stages SET queued_at = queued_at - interval '1 hour' WHERE name = 's1'")
    found = (await stats.overview(pool)).queues
    assert [queue.name for queue in found] == ["training", "evaluation", "default", "preprocessing", "maintenance"]
    assert [queue.priority for queue in found] == [10, 7, 5, 3, 1]
    await queues.pause(pool, Queue.MAINTENANCE)
    last = (await stats.overview(pool)).queues[-1]
    assert (last.queued, last.running, last.paused) == (2, 1, True)
    assert last.oldest_age_s == pytest.approx(3_600, abs=60)
    assert [(queue.queued, queue.running, queue.oldest_age_s) for queue in found[:-1]] == [(0, 0, None)] * 4


async def test_slots_are_those_of_workers_that_hold_a_lease(pool):
    worker, dead = await a_worker(pool), await a_worker(pool, lease_s=30)
    light, heavy = await submit(pool), await submit(pool, fan(2), slot=Slot.PROCESS)
    await worker.claim(light, "a")
    await worker.claim(heavy, "s0")
    await dead.claim(heavy, "s1")
    found = await stats.overview(pool)
    assert (found.workers, found.slots.process.total, found.slots.process.busy) == ({"live": 2, "draining": 0}, 8, 2)
    await dead.lose_lease()
    found = await stats.overview(pool)
    assert found.workers == {"live": 1, "draining": 0}
    assert (found.slots.process.total, found.slots.process.busy) == (4, 1)
    assert (found.slots.inline.total, found.slots.inline.busy) == (100, 1)
