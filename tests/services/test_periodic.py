"""Periodic tasks: a slot runs once, a missed one is seen, and one whose worker dies is not stuck."""

import asyncio
from datetime import timedelta

import pytest

from app.services import periodic
from schemas.periodic import SlotOutcome
from tests.support.workers import ScriptedWorker

TASK = "scan"
MINUTE = timedelta(minutes=1)
AGAIN = "UPDATE periodic_tasks SET last_slot = last_slot - make_interval(secs => $1)"


@pytest.fixture
async def worker(pool):
    worker = ScriptedWorker(pool)
    await worker.register()
    return worker


async def take(worker, interval_s=3_600):
    return await periodic.take(worker.pool, worker.id, {TASK: (interval_s, 660.0)})


async def the_task(pool):
    (task,) = await periodic.every(pool)
    return task


async def test_over_fifty_slots_each_runs_once_however_many_workers_tick_at_once(pool, worker, redis):
    workers = [worker, ScriptedWorker(pool)]
    await workers[1].register()
    taken = []
    for number in range(50):
        # As if an hour had gone by since the slot before; what Redis holds has nothing to do with it.
        await pool.execute(
            "UPDATE periodic_runs SET slot = slot - make_interval(hours => $1) "
            "WHERE slot = (SELECT max(slot) FROM periodic_runs)",
            100 - number,
        )
        await pool.execute(AGAIN, 3_600)
        await redis.flushall()
        answers = await asyncio.gather(*(take(each) for each in workers * 3))
        now = [slot for answer in answers for slot in answer]
        assert len(now) == 1
        taken += now
        owner = workers[next(n for n, answer in enumerate(answers) if answer) % 2]
        await periodic.finish(pool, owner.id, now[0], SlotOutcome.COMPLETED, done=1)
    assert len(taken) == 50
    assert await pool.fetchval("SELECT count(*) FROM periodic_runs WHERE outcome = 'completed'") == 50
    assert (await the_task(pool)).missed == 0


async def test_a_slot_that_was_taken_is_not_taken_again_though_its_row_is_gone(pool, worker):
    (taken,) = await take(worker)
    await periodic.finish(pool, worker.id, taken, SlotOutcome.COMPLETED)
    await pool.execute("DELETE FROM periodic_runs")
    assert await take(worker) == []


async def test_what_became_of_a_slot_is_told(pool, worker):
    (taken,) = await take(worker)
    task = await the_task(pool)
    assert (task.name, task.interval_s, task.last_run.slot, task.last_run.outcome) == (TASK, 3_600, taken.slot, None)
    assert task.next_run_at == taken.slot + timedelta(hours=1)
    await periodic.finish(pool, worker.id, taken, SlotOutcome.FAILED, error={"code": "exception", "message": "broke"})
    run = (await the_task(pool)).last_run
    assert (run.outcome, run.worker, run.error["message"]) == ("failed", "scripted", "broke")
    assert run.duration_s == pytest.approx((run.finished_at - run.started_at).total_seconds())


async def test_slots_that_nobody_ran_are_counted_at_once_and_recorded_by_the_next_one_that_runs(pool, worker):
    (taken,) = await take(worker)
    await periodic.finish(pool, worker.id, taken, SlotOutcome.COMPLETED)
    await pool.execute("UPDATE periodic_runs SET slot = slot - interval '200 h'")
    await pool.execute(AGAIN, 200 * 3_600)
    waiting = await the_task(pool)
    assert (waiting.missed, waiting.next_run_at) == (199, taken.slot)
    assert len(await take(worker)) == 1
    task = await the_task(pool)
    assert (task.missed, task.last_missed_at) == (199, taken.slot - timedelta(hours=1))
    assert await pool.fetchval("SELECT count(*) FROM periodic_runs WHERE outcome = 'missed'") == 100


async def test_a_run_whose_worker_dies_is_lost_and_the_next_slot_runs(pool, worker):
    (taken,) = await take(worker)
    await pool.execute("UPDATE workers SET lease_expires_at = clock_timestamp()")
    assert (await the_task(pool)).last_run.outcome == "lost"
    other = ScriptedWorker(pool)
    await other.register()
    assert await take(other) == []  # the slot was taken, for good
    await pool.execute("UPDATE periodic_runs SET slot = slot - interval '1 h'")
    await pool.execute(AGAIN, 3_600)
    assert len(await take(other)) == 1
    late = taken.__class__(taken.name, taken.slot - timedelta(hours=1))
    await periodic.finish(pool, worker.id, late, SlotOutcome.COMPLETED)  # it was not dead after all
    lost = await pool.fetchrow("SELECT outcome, error FROM periodic_runs WHERE slot = $1", late.slot)
    assert (lost["outcome"], "lost_worker" in lost["error"]) == ("lost", True)


async def test_a_run_that_nobody_tells_of_is_over_after_its_lease_though_its_worker_lives(pool, worker):
    await take(worker)
    await pool.execute("UPDATE periodic_runs SET slot = slot - interval '1 h', expires_at = clock_timestamp()")
    await pool.execute(AGAIN, 3_600)
    assert (await the_task(pool)).last_run.outcome == "lost"
    assert len(await take(worker)) == 1


async def test_a_task_does_not_overtake_itself(pool, worker):
    await take(worker)
    await pool.execute("UPDATE periodic_runs SET slot = slot - interval '1 h'")
    await pool.execute(AGAIN, 3_600)
    assert await take(worker) == []


async def test_who_has_no_lease_takes_nothing(pool):
    worker = ScriptedWorker(pool)
    await worker.register(lease_s=-1)
    assert await take(worker) == []


async def test_old_runs_are_forgotten_but_never_the_last(pool, worker):
    (taken,) = await take(worker)
    await periodic.finish(pool, worker.id, taken, SlotOutcome.COMPLETED)
    await pool.execute(
        "INSERT INTO periodic_runs (name, slot, outcome, finished_at) "
        "SELECT $1, now() - n * interval '1 day', 'missed', now() FROM generate_series(2, 5) AS n",
        TASK,
    )
    assert await periodic.prune(pool, 3 * 86_400) == 3
    assert await periodic.prune(pool, 0) == 1 + 1  # the task has not run since, so it is no task any more
    assert await periodic.every(pool) == []
