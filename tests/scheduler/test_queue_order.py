"""The order in which workers get jobs: by queue, by priority, by age, and never never."""

from datetime import UTC, datetime

from app.queue import PRIORITY_BOOST_MS, STARVATION_MS
from schemas.limits import PRIORITY_MAX, PRIORITY_MIN
from schemas.queue import QUEUES_BY_PRIORITY, Queue, Slot
from tests.support.jobs import a_job, pop, popped

BOOST_S = PRIORITY_BOOST_MS / 1000
STARVED_S = STARVATION_MS / 1000  # at the highest priority, one boost later for each point less


ROUNDING_MS = 2
"""Redis counts whole milliseconds, in the age of a job and in the time of day."""


def names(jobs):
    return [job.stage for job in jobs]


async def test_queues_are_served_by_their_priority(queue):
    jobs = [a_job(each) for each in QUEUES_BY_PRIORITY]
    await queue.dispatch(jobs[::-1])
    assert await popped(queue) == names(jobs)


async def test_a_worker_gets_as_many_jobs_as_it_has_free_slots(queue):
    jobs = [a_job(age_s=60 - number) for number in range(5)]
    await queue.dispatch(jobs)
    assert await popped(queue, 0) == []
    assert await popped(queue, 2) == names(jobs[:2])
    assert await popped(queue, 100) == names(jobs[2:])
    assert await popped(queue) == []


async def test_the_two_kinds_of_slots_are_filled_separately(queue):
    inline, process = a_job(age_s=1), a_job(age_s=1, slot=Slot.PROCESS)
    await queue.dispatch([inline, process, a_job(), a_job(slot=Slot.PROCESS)])
    jobs = await queue.claim({Slot.INLINE: 1, Slot.PROCESS: 1}, QUEUES_BY_PRIORITY)
    assert {job.stage for job in jobs} == {inline.stage, process.stage}


async def test_a_worker_gets_jobs_of_its_own_queues_only(queue):
    await queue.dispatch([a_job(Queue.TRAINING), mine := a_job(Queue.MAINTENANCE)])
    assert names(await queue.claim({Slot.INLINE: 9}, [Queue.MAINTENANCE, Queue.DEFAULT])) == [mine.stage]


async def test_within_a_queue_the_oldest_goes_first(queue):
    jobs = [a_job(age_s=age_s) for age_s in (40, 30, 20, 10)]
    await queue.dispatch([jobs[2], jobs[0], jobs[3], jobs[1]])
    assert await popped(queue) == names(jobs)


async def test_a_point_of_priority_is_worth_some_waiting_and_no_more(queue):
    older, younger, much_older = a_job(age_s=BOOST_S - 1), a_job(priority=6), a_job(age_s=BOOST_S + 1)
    await queue.dispatch([younger, older, much_older])
    assert await popped(queue) == names([much_older, younger, older])


async def test_what_has_waited_too_long_goes_first_whatever_its_queue(queue):
    old = a_job(Queue.MAINTENANCE, age_s=STARVED_S + 5 * BOOST_S + 1, priority=5)
    training = [a_job(Queue.TRAINING, age_s=10 - number) for number in range(3)]
    await queue.dispatch([*training, old])
    assert await popped(queue, 2) == names([old, training[0]])


async def test_until_then_it_has_to_wait(queue):
    old = a_job(Queue.MAINTENANCE, age_s=STARVED_S + 5 * BOOST_S - 1, priority=5)
    await queue.dispatch([old, training := a_job(Queue.TRAINING)])
    assert await popped(queue, 1) == names([training])


async def test_a_high_priority_alone_is_no_long_wait(queue):
    urgent = a_job(Queue.MAINTENANCE, age_s=1, priority=10)
    await queue.dispatch([urgent, training := a_job(Queue.TRAINING, priority=1)])
    assert await popped(queue, 1) == names([training])


async def test_the_longest_waiting_goes_first_and_the_others_one_at_a_time(queue):
    old = [a_job(Queue.MAINTENANCE, age_s=3 * STARVED_S - number) for number in range(3)]
    older = a_job(Queue.PREPROCESSING, age_s=4 * STARVED_S)
    training = [a_job(Queue.TRAINING, age_s=5 - number) for number in range(4)]
    await queue.dispatch([*training, *old, older])
    assert await popped(queue, 2) == names([older, training[0]])
    assert await popped(queue, 2) == names([old[0], training[1]])
    assert await popped(queue, 1) == names([old[1]])


async def test_a_job_names_its_stage_and_its_dispatch_and_nothing_else(queue, redis):
    stage = a_job()
    await queue.dispatch([stage])
    (job,) = await pop(queue)
    assert (job.stage, job.dispatch_token, job.function) == (stage.stage, 1, "run_stage")
    body = await redis.get(f"arq:job:{job.id}")
    assert str(stage.stage).encode() in body
    assert len(body) < 120


async def test_under_a_load_of_higher_priority_that_never_ends_the_lowest_starts_within_its_bound(queue, monkeypatch):
    """A worker with one slot always finds training waiting, and the lowest waits its time and no longer."""
    monkeypatch.setattr("app.queue.STARVATION_MS", 200)
    monkeypatch.setattr("app.queue.PRIORITY_BOOST_MS", 20)
    bound_ms = 200 + (PRIORITY_MAX - PRIORITY_MIN) * 20
    lowest = a_job(Queue.MAINTENANCE, priority=PRIORITY_MIN)
    await queue.dispatch([lowest, a_job(Queue.TRAINING, priority=PRIORITY_MAX)])
    waited_ms, served = 0.0, 0
    while True:
        await queue.dispatch([a_job(Queue.TRAINING, priority=PRIORITY_MAX)])
        asked_ms = _age_ms(lowest)
        if await popped(queue, 1) == names([lowest]):
            break
        waited_ms, served = asked_ms, served + 1
    assert waited_ms <= bound_ms + ROUNDING_MS
    assert bound_ms <= _age_ms(lowest)
    assert served > 1


def _age_ms(job):
    return (datetime.now(UTC) - job.queued_at).total_seconds() * 1000
