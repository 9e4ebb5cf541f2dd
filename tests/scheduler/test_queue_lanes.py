"""Tasks that plug in have lanes of their own: their jobs reach only the workers that know them."""

from uuid import UUID

from app.queue import PRIORITY_BOOST_MS, STARVATION_MS, JobQueue
from schemas.queue import QUEUES_BY_PRIORITY, Queue, Slot
from tests.support.jobs import a_job, popped

STARVED_S = STARVATION_MS / 1000 + 10 * PRIORITY_BOOST_MS / 1000


async def taken(queue: JobQueue, *tasks: str, count: int = 100, slot: Slot = Slot.INLINE) -> list[UUID]:
    """What a worker with these plug-ins gets."""
    return [job.stage for job in await queue.claim({slot: count}, QUEUES_BY_PRIORITY, tasks)]


async def test_a_worker_gets_jobs_of_the_tasks_that_it_knows(queue: JobQueue):
    mine, theirs, anybodys = a_job(task="mine", age_s=3), a_job(task="theirs", age_s=2), a_job(age_s=1)
    await queue.dispatch([mine, theirs, anybodys])

    assert await taken(queue, "mine") == [mine.stage, anybodys.stage]
    assert await taken(queue, "mine") == []
    assert await taken(queue, "other", "theirs") == [theirs.stage]


async def test_jobs_that_nobody_can_run_stand_in_nobodys_way(queue: JobQueue):
    await queue.dispatch([a_job(task="unknown", age_s=60) for _ in range(50)])
    await queue.dispatch([job := a_job()])

    assert await popped(queue, 1) == [job.stage]
    assert await popped(queue, 1) == []


async def test_the_lanes_of_a_queue_are_served_as_one(queue: JobQueue):
    jobs = [a_job(task=task, age_s=60 - age) for age, task in enumerate(["noop", "x", "y", "y", "noop", "noop", "x"])]
    await queue.dispatch(jobs[::-1])

    assert await taken(queue, "x", "y", count=2) == [job.stage for job in jobs[:2]]
    assert await taken(queue, "x", "y") == [job.stage for job in jobs[2:]]


async def test_a_point_of_priority_counts_across_lanes(queue: JobQueue):
    older, urgent = a_job(task="x", age_s=5), a_job(priority=6)
    await queue.dispatch([older, urgent])

    assert await taken(queue, "x", count=1) == [urgent.stage]


async def test_a_lane_belongs_to_its_queue_and_its_kind_of_slot(queue: JobQueue):
    low, high = a_job(Queue.MAINTENANCE, task="x", age_s=9), a_job(Queue.TRAINING, task="x")
    other = a_job(task="x", slot=Slot.PROCESS)
    await queue.dispatch([low, high, other])

    assert await taken(queue, "x") == [high.stage, low.stage]
    assert await taken(queue, "x", slot=Slot.PROCESS) == [other.stage]


async def test_what_has_waited_too_long_goes_first_whatever_its_lane(queue: JobQueue):
    old = a_job(Queue.MAINTENANCE, task="x", age_s=STARVED_S)
    await queue.dispatch([old, a_job(Queue.TRAINING)])

    assert await taken(queue, "x", count=1) == [old.stage]


async def test_a_job_that_is_put_back_returns_to_its_lane(queue: JobQueue):
    await queue.dispatch([job := a_job(task="x")])
    await queue.put_back(await queue.claim({Slot.INLINE: 1}, QUEUES_BY_PRIORITY, ["x"]))

    assert await popped(queue) == []
    assert await taken(queue, "x") == [job.stage]


async def test_a_worker_wakes_for_its_lanes_and_who_leaves_work_behind_wakes_the_next(queue: JobQueue, redis):
    await queue.dispatch([a_job(task="x"), a_job(task="x")])
    markers = set(await redis.keys("headway:wake:*"))
    await queue.wait([Slot.INLINE], QUEUES_BY_PRIORITY, 1, ["x"])
    assert await redis.keys("headway:wake:*") == []

    await taken(queue, "x", count=1)

    assert markers == set(await redis.keys("headway:wake:*")) == {b"headway:wake:default:inline:x"}


async def test_lanes_that_were_forgotten_are_found_again_by_the_next_dispatch(queue: JobQueue, redis):
    await queue.dispatch([job := a_job(task="x")])
    await redis.delete("headway:lanes")
    assert await taken(queue, "x") == []

    assert await queue.dispatch([job]) == 0
    assert await taken(queue, "x") == [job.stage]


async def test_depths_count_all_lanes(queue: JobQueue):
    await queue.dispatch([a_job(), a_job(task="x"), a_job(Queue.TRAINING, task="x", slot=Slot.PROCESS)])

    assert {name: depth for name, depth in (await queue.depths()).items() if depth} == {"default": 2, "training": 1}
