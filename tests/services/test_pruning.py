"""Pipelines that ended long ago go with all that they left, and nothing else does."""

import asyncio
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from app.artifacts import attempt_directory
from app.errors import Conflict
from app.services import checkpoints, pipelines, pruning
from app.settings import Settings
from schemas.checkpoint import CheckpointReport
from schemas.states import Outcome
from tests.support.locks import WAITING, until
from tests.support.pipelines import a_plan, submit
from tests.support.workers import a_worker, ending
from workers.cron import PERIODIC

DAY_S = 86_400.0
AGO = "UPDATE pipelines SET created_at = {0}, finished_at = finished_at + ({0} - created_at) WHERE id = $1".format(
    "created_at - make_interval(days => $2)"
)


@pytest.fixture
async def worker(pool):
    return await a_worker(pool)


@pytest.fixture
def make(pool, worker, tmp_path):
    """A pipeline that has ended so many days ago, with a checkpoint on disk."""

    async def make(*, days=0, outcome=Outcome.COMPLETED):
        pipeline = await submit(pool)
        claim = await worker.start(pipeline)
        path = attempt_directory(tmp_path, pipeline.uuid, "a", 1) / "step-1"
        path.mkdir(parents=True)
        (path / "weights").write_text("w")
        await checkpoints.record(pool, [CheckpointReport(claim.stage, claim.lease_token, 1, str(path), {}, 1)])
        await worker.report(ending(claim, outcome))
        await pipeline.release()
        await pool.execute(AGO, pipeline.id, days)
        return pipeline

    return make


@pytest.fixture
def prune(pool, tmp_path):
    """Prune what ended more than ten days ago."""

    async def prune(older_than_s=10 * DAY_S):
        return await pruning.prune(pool, tmp_path, older_than_s=older_than_s)

    return prune


@pytest.fixture
def finish(pool, tmp_path):
    """Remove what is left on disk; return of how many there still is something."""

    async def finish():
        await pruning.remove_leftovers(pool, tmp_path)
        return await pool.fetchval("SELECT count(*) FROM artifacts_left")

    return finish


@pytest.fixture
def on_disk(tmp_path):
    return lambda: {path.name for path in (tmp_path / "artifacts").iterdir()}


async def pin(pool, pipeline, *, pinned=True):
    (found,) = (await checkpoints.list_page(pool, pipeline=pipeline.uuid)).items
    await checkpoints.pin(pool, found.id, pinned=pinned)


async def test_what_ended_long_ago_goes_with_all_its_rows_and_files_and_the_rest_stays(pool, make, prune, on_disk):
    old = [await make(days=11), await make(days=12, outcome=Outcome.FAILED)]
    young = await make(days=9)
    waiting, running = await submit(pool, start=False), await submit(pool)
    for pipeline in (waiting, running):
        await pool.execute(AGO, pipeline.id, 20)
    kept = [await pipeline.everything() for pipeline in (young, waiting, running)]

    assert await prune() == 2
    assert await prune() == 0

    assert [await pipeline.everything() for pipeline in old] == [[], []]
    assert [await pipeline.everything() for pipeline in (young, waiting, running)] == kept
    assert on_disk() == {str(young.uuid)}
    assert await pool.fetchval("SELECT count(*) FROM artifacts_left") == 0


async def test_they_are_found_batch_by_batch_whatever_lies_between(pool, make, prune, monkeypatch):
    monkeypatch.setattr(pruning, "LOOKED_AT_ONCE", 2)
    made = [await make(days=days) for days in (20, 1, 20, 20, 20, 20, 1)]
    await pin(pool, made[2])
    assert await prune() == 4
    assert await pool.fetch("SELECT uuid FROM pipelines ORDER BY id") == [(made[n].uuid,) for n in (1, 2, 6)]


async def test_one_with_a_pinned_checkpoint_stays_with_all_its_files_until_it_is_unpinned(pool, make, prune, on_disk):
    pipeline = await make(days=11)
    await pin(pool, pipeline)
    assert await prune() == 0
    assert on_disk() == {str(pipeline.uuid)}
    await pin(pool, pipeline, pinned=False)
    assert await prune() == 1


async def test_one_whose_checkpoint_is_being_pinned_stays(pool, make, prune):
    pipeline = await make(days=11)
    async with pool.acquire() as c, c.transaction():
        await c.execute("UPDATE checkpoints SET pinned = true WHERE pipeline_id = $1", pipeline.id)
        pruning = asyncio.create_task(prune())

        async def has_met_it():
            return pruning.done() or await pool.fetchval(WAITING, 1)

        await until(has_met_it)
    assert await pruning == 0
    assert await pipeline.status() == "completed"


async def test_one_that_somebody_is_at_keeps_no_other_from_going(pool, make, prune):
    held, free = await make(days=11), await make(days=11)
    async with pool.acquire() as c, c.transaction():
        await c.execute("SELECT FROM pipelines WHERE id = $1 FOR NO KEY UPDATE", held.id)
        assert await asyncio.wait_for(prune(), 5) == 1
    assert await free.everything() == []
    assert await prune() == 1


@pytest.fixture
def once_chosen(monkeypatch):
    """Let something happen between the question and the act."""

    def happens(act):
        async def act_first(*arguments, prune=pruning.db.prune):
            await act()
            return await prune(*arguments)

        monkeypatch.setattr(pruning.db, "prune", act_first)

    return happens


async def test_one_that_ended_again_since_it_was_chosen_stays(pool, worker, make, prune, once_chosen):
    pipeline = await make(days=11, outcome=Outcome.FAILED)

    async def retry():
        await pipelines.retry(pool, pipeline.uuid)
        await worker.complete(pipeline, "a")
        await pipeline.release()

    once_chosen(retry)
    assert await prune() == 0
    assert await pipeline.status() == "completed"


async def test_one_that_was_pinned_since_it_was_chosen_stays(pool, make, prune, once_chosen):
    pipeline = await make(days=11)
    once_chosen(lambda: pin(pool, pipeline))
    assert await prune() == 0
    assert await pipeline.status() == "completed"


class Killed(BaseException):
    """As by SIGKILL, which nobody catches."""


def die(*_, **__):
    raise Killed


@pytest.mark.parametrize(
    "call",
    ["app.services.pruning.remove", "app.trash._empty", "os.fsync", "shutil.rmtree", "app.db.pruning.removed"],
    ids=[
        "after its rows are gone",
        "before its rename",
        "after its rename",
        "before its files go",
        "before it is noted",
    ],
)
async def test_a_prune_that_dies_anywhere_is_finished_by_the_next_one(make, prune, finish, on_disk, call):
    pipeline, other = await make(days=11), await make()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(call, die)
        with pytest.raises(Killed):
            await prune()
    assert await pipeline.everything() == []
    assert await prune() == 0
    assert await finish() == 0
    assert on_disk() == {str(other.uuid)}


async def test_files_that_resist_keep_no_other_from_going_and_are_tried_again(
    make, prune, finish, on_disk, monkeypatch
):
    stubborn, remove = await make(days=11), pruning.remove
    await make(days=11)

    def resist(root, steps, mark):
        if mark == str(stubborn.uuid):
            raise PermissionError(13, "Permission denied")
        remove(root, steps, mark)

    with monkeypatch.context() as patch:
        patch.setattr(pruning, "remove", resist)
        assert await prune() == 2
        assert await finish() == 1
        assert on_disk() == {str(stubborn.uuid)}
    assert await finish() == 0
    assert on_disk() == set()


async def test_artifacts_whose_volume_is_away_are_removed_when_it_is_back(make, prune, finish, on_disk, tmp_path):
    await make(days=11)
    artifacts = tmp_path / "artifacts"
    artifacts.rename(tmp_path / "away")
    assert await prune() == 1
    assert await finish() == 1
    (tmp_path / "away").rename(artifacts)
    assert await finish() == 0
    assert on_disk() == set()


async def test_none_is_made_anew_under_an_old_uuid_before_the_files_of_the_old_one_are_gone(
    pool, make, finish, on_disk
):
    pipeline = await make()
    await pipelines.delete(pool, pipeline.uuid)
    with pytest.raises(Conflict, match="still being removed"):
        await pipelines.create(pool, replace(a_plan(), uuid=pipeline.uuid))
    assert await finish() == 0
    assert on_disk() == set()
    await pipelines.create(pool, replace(a_plan(), uuid=pipeline.uuid))


async def test_the_hourly_task_keeps_everything_until_a_setting_says_how_long(pool, make, on_disk, tmp_path):
    pipeline, half_deleted = await make(days=4_000), await make()
    await pipelines.delete(pool, half_deleted.uuid)  # by an API process that then dies
    (hourly,) = (task for task in PERIODIC if task.name == "prune_old_pipelines")
    settings = Settings(data_dir=tmp_path)
    assert await hourly.run(SimpleNamespace(pool=pool, settings=settings)) == 0
    assert await pipeline.status() == "completed"
    assert on_disk() == {str(pipeline.uuid)}
    short = settings.model_copy(update={"pipeline_retention_days": 3_999.0})
    assert await hourly.run(SimpleNamespace(pool=pool, settings=short)) == 1
