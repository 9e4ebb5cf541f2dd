"""Follow up: what a few outcomes make possible is released where they were committed; the rest is left to others."""

import asyncpg
import pytest

from app.db import stages as db
from app.errors import Unavailable
from app.services import stages
from tests.support.jobs import pop
from tests.support.locks import held
from tests.support.pipelines import CHAIN, DIAMOND, fan, submit
from tests.support.workers import a_worker, ending
from workers import follow_up as module
from workers.follow_up import follow_up
from workers.room import Room

NEWS, COMPLETIONS = "headway:events", "headway:completions"


@pytest.fixture
async def worker(pool):
    return await a_worker(pool)


@pytest.fixture
def room(settings, pool, queue, worker):
    return Room(worker.id, settings, pool, queue, {})


async def complete(worker, *stages_of):
    """Commit these stages of these pipelines."""
    claims = [claim for pipeline, names in stages_of for claim in await worker.claim(pipeline, *names)]
    return await worker.report(*map(ending, claims))


async def seqs(room):
    return [int(said[b"s"]) for _, said in await room.queue.redis.xrange(NEWS)]


async def test_what_waited_for_it_is_queued_at_once(pool, queue, redis, worker, room):
    pipeline = await submit(pool, DIAMOND)
    await follow_up(room, await complete(worker, (pipeline, "a")))
    assert await pipeline.statuses() == {"a": "completed", "b": "queued", "c": "queued", "d": "pending"}
    assert {job.stage for job in await pop(queue)} == {(await pipeline.stage(name))["uuid"] for name in "bc"}
    assert await seqs(room) == [await pipeline.seq()]
    assert await redis.xlen(COMPLETIONS) == 0  # the schedulers have nothing to do


async def test_the_last_outcome_ends_its_pipeline(pool, worker, room):
    pipeline = await submit(pool)
    await follow_up(room, await complete(worker, (pipeline, "a")))
    assert await pipeline.status() == "completed"
    assert await seqs(room) == [await pipeline.seq()]


async def left_to_the_schedulers(room, *pipelines):
    told = {int(said[b"i"]) for _, said in await room.queue.redis.xrange(COMPLETIONS)}
    assert told == {pipeline.id for pipeline in pipelines}


async def test_outcomes_of_many_pipelines_are_left_to_the_schedulers(pool, worker, room):
    pipelines = [await submit(pool, CHAIN) for _ in range(module.PIPELINES_MAX + 1)]
    await follow_up(room, await complete(worker, *((pipeline, "a") for pipeline in pipelines)))
    await left_to_the_schedulers(room, *pipelines)
    assert [(await each.stage("b"))["status"] for each in pipelines] == ["pending"] * len(pipelines)


async def test_a_wide_fan_is_left_to_the_schedulers(pool, worker, room):
    children = fan(module.DEPENDENTS_MAX + 1)
    pipeline = await submit(pool, {"root": (), **dict.fromkeys(children, ("root",))})
    await follow_up(room, await complete(worker, (pipeline, ["root"])))
    assert await pipeline.statuses() == {"root": "completed", **dict.fromkeys(children, "pending")}
    await left_to_the_schedulers(room, pipeline)


async def test_nobody_who_holds_the_pipeline_is_waited_for(pool, worker, room):
    pipeline = await submit(pool, CHAIN)
    completed = await complete(worker, (pipeline, "a"))
    async with held(pool, pipeline):
        await follow_up(room, completed)
    await left_to_the_schedulers(room, pipeline)


@pytest.mark.parametrize("error", [Unavailable("away"), ZeroDivisionError()], ids=["outage", "bug"])
async def test_a_release_that_fails_is_left_to_the_schedulers(pool, worker, room, monkeypatch, error):
    async def release_at_once(*_):
        raise error

    pipeline = await submit(pool, CHAIN)
    completed = await complete(worker, (pipeline, "a"))
    monkeypatch.setattr(stages, "release_at_once", release_at_once)
    await follow_up(room, completed)
    await left_to_the_schedulers(room, pipeline)
    assert await seqs(room) == [await pipeline.seq()]


async def test_an_outcome_is_durable_before_anything_is_released(pool, worker, room, monkeypatch):
    """Two acts: a release that Postgres refuses takes nothing back."""

    async def refuse(*_, **__):
        raise asyncpg.CheckViolationError

    pipeline = await submit(pool, CHAIN)
    completed = await complete(worker, (pipeline, "a"))
    monkeypatch.setattr(db, "release", refuse)
    await follow_up(room, completed)
    assert (await pipeline.stage("a"))["status"] == "completed"
