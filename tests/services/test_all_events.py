"""The events of all pipelines: where they stand, and what a reader with a bookmark is given."""

import pytest

from app.core.bookmark import Bookmark, cursor_at, read_cursor, write_cursor
from app.db.migrate import migrate
from app.errors import InvalidRequest
from app.services import events, pipelines
from schemas.states import PipelineStatus
from tests.support import invariants
from tests.support.pipelines import ONE, PAIR, submit
from tests.support.workers import a_worker
from tests.support.writers import append, writing

LIMIT = 1_000
NEXT = "SELECT place_of(pg_snapshot_xmax(pg_current_snapshot()))"


async def read(pool, bookmark: Bookmark, limit: int = LIMIT):
    """What the reader lacks, as pairs of pipeline and number; it has it from now on."""
    found, settled = await events.news(pool, bookmark, limit)
    bookmark.advance(found, settled, complete=len(found) < limit)
    return [(event.pipeline_id, event.seq) for event in found]


def numbers(pipeline, *seqs: int):
    return [(pipeline.id, seq) for seq in seqs]


async def test_a_reader_gets_the_events_of_all_pipelines_once(pool):
    one, two, worker = await submit(pool), await submit(pool), await a_worker(pool)
    bookmark = await events.begin(pool, "begin")
    assert await read(pool, bookmark) == numbers(one, 1, 2, 3) + numbers(two, 1, 2, 3)
    await worker.complete(two, "a")
    await worker.start(one)
    assert await read(pool, bookmark) == numbers(two, 4, 5) + numbers(one, 4)
    assert await read(pool, bookmark) == []


async def test_it_may_read_in_pages_of_any_size(pool):
    one, two = await submit(pool), await submit(pool)
    bookmark = Bookmark()
    pages = [await read(pool, bookmark, 2) for _ in range(4)]
    assert pages == [numbers(one, 1, 2), [*numbers(one, 3), *numbers(two, 1)], numbers(two, 2, 3), []]


async def test_a_reader_that_asks_for_news_hears_nothing_of_the_past(pool):
    pipeline = await submit(pool)
    async with writing(pool) as writer:
        await writer.take_id()
        await append(pool, pipeline.uuid)
        bookmark = await events.begin(pool, None)
        assert await read(pool, bookmark) == []
        await append(pool, pipeline.uuid)
        assert await read(pool, bookmark) == numbers(pipeline, 5)


async def test_a_transaction_that_commits_late_is_not_passed_over(pool):
    early, late = await submit(pool), await submit(pool)
    bookmark = await events.begin(pool, None)
    async with writing(pool) as writer:
        await writer.append(late.uuid)
        await append(pool, early.uuid)
        assert await read(pool, bookmark) == numbers(early, 4)
        resumed = Bookmark(bookmark.floor)
    assert await read(pool, bookmark) == numbers(late, 4)
    assert sorted(await read(pool, resumed)) == numbers(early, 4) + numbers(late, 4)
    assert await read(pool, resumed) == []


async def test_a_transaction_that_stays_open_holds_back_the_cursor_and_nothing_else(pool):
    pipeline = await submit(pool)
    bookmark = await events.begin(pool, None)
    async with writing(pool) as stranger:
        await stranger.take_id()
        floors = set()
        for seq in (4, 5, 6):
            await append(pool, pipeline.uuid)
            assert await read(pool, bookmark) == numbers(pipeline, seq)
            floors.add(bookmark.floor)
        assert len(floors) == 1
        assert bookmark.ahead.keys() == {pipeline.id}
    assert await read(pool, bookmark) == []
    assert bookmark.floor > max(floors)
    assert bookmark.ahead == {}


async def test_places_follow_the_order_of_a_pipeline_though_transaction_ids_do_not(pool):
    first, shared = await submit(pool), await submit(pool)
    bookmark = await events.begin(pool, None)
    async with writing(pool) as writer:
        await writer.append(first.uuid)  # has its id from here
        await append(pool, shared.uuid)  # has a higher one
        await writer.append(shared.uuid)
    assert [each for each in await read(pool, bookmark) if each[0] == shared.id] == numbers(shared, 4, 5)
    pages = Bookmark()
    seen = [(await read(pool, pages, 1))[0] for _ in range(9)]
    assert [each for each in seen if each[0] == shared.id] == numbers(shared, 1, 2, 3, 4, 5)
    assert await pool.fetchval(invariants.MISPLACED) == 0


async def test_every_cursor_on_the_way_resumes_where_it_stands(pool):
    one, two = await submit(pool), await submit(pool)
    async with writing(pool) as writer:
        await writer.append(one.uuid)
        await append(pool, two.uuid, 2)
        found, settled = await events.news(pool, Bookmark(), LIMIT)
    everything = set(await read(pool, Bookmark()))
    for had, event in enumerate(found, 1):
        floor = read_cursor(cursor_at(event, settled))
        before = {(each.pipeline_id, each.seq) for each in found[:had]}
        assert before | set(await read(pool, Bookmark(floor))) == everything


async def test_an_event_knows_the_status_after_it_and_the_labels_of_today(pool):
    pipeline, worker = await submit(pool, PAIR), await a_worker(pool)
    await worker.complete(pipeline, "a")
    await pipelines.pause(pool, pipeline.uuid)
    await pipelines.resume(pool, pipeline.uuid)
    await worker.fail(pipeline, "b")
    await pipeline.release()
    await pipelines.retry(pool, pipeline.uuid)
    await pipelines.cancel(pool, pipeline.uuid)
    await pipeline.set(labels='{"team": "vision"}')
    found, _ = await events.news(pool, Bookmark(), LIMIT)
    assert [(event.event.type, event.status) for event in found if event.event.subject is None] == [
        ("pipeline.created", PipelineStatus.PENDING),
        ("pipeline.started", PipelineStatus.RUNNING),
        ("pipeline.paused", PipelineStatus.PAUSED),
        ("pipeline.resumed", PipelineStatus.RUNNING),
        ("pipeline.failed", PipelineStatus.FAILED),
        ("pipeline.started", PipelineStatus.RUNNING),
        ("pipeline.cancelling", PipelineStatus.CANCELLING),
        ("pipeline.cancelled", PipelineStatus.CANCELLED),
    ]
    of_stages = [(event.event.type, event.status) for event in found if event.event.subject is not None]
    assert of_stages[-1] == ("stage.cancelled", PipelineStatus.CANCELLING)
    assert {status for _, status in of_stages[:-1]} == {PipelineStatus.RUNNING}
    assert [event.labels for event in found] == [{"team": "vision"}] * len(found)


async def test_a_reader_goes_on_behind_pipelines_that_were_deleted(pool):
    gone, stays = await submit(pool, start=False), await submit(pool, start=False)
    bookmark = Bookmark()
    assert await read(pool, bookmark, 1) == numbers(gone, 1)
    await pipelines.delete(pool, gone.uuid)
    assert await read(pool, bookmark) == numbers(stays, 1)


@pytest.mark.parametrize(
    "cursor",
    ["", "4", "x", "ä", "BEGIN", "=", "W10", write_cursor((1, 2, 3)) + "=", write_cursor((2**62, 1, 1)), "A" * 100]
    + [write_cursor(key) for key in [(-1, 0, 0), (0, 0, -1), (2**63, 0, 0), (0, 2**63, 0), (0, 0, 2**31)]],
)
async def test_a_cursor_of_another_kind_is_refused(pool, cursor: str):
    with pytest.raises(InvalidRequest, match="cursor") as refusal:
        await events.begin(pool, cursor)
    assert refusal.value.faults[0].code == "cursor_invalid"


async def test_a_cursor_is_never_ahead_of_its_own_database(pool):
    pipeline = await submit(pool)
    bookmark = await events.begin(pool, None)
    for _ in range(3):
        await append(pool, pipeline.uuid)
        await read(pool, bookmark)
        assert (await events.begin(pool, write_cursor(bookmark.floor))).floor == bookmark.floor


async def test_events_go_on_behind_those_of_a_restored_dump(pool, database_url):
    old = await submit(pool, ONE)
    far = await pool.fetchval(NEXT) + 1_000_000
    await pool.execute("UPDATE events SET place = $1", far)
    bookmark = Bookmark()
    try:
        await migrate(database_url)
        assert await read(pool, bookmark, 2) == numbers(old, 1, 2)
        await append(pool, old.uuid)
        new = await submit(pool)
        resumed = await events.begin(pool, write_cursor(bookmark.floor))
        assert await read(pool, resumed) == numbers(old, 3, 4) + numbers(new, 1, 2, 3)
        assert await read(pool, resumed) == []
        assert await pool.fetchval("SELECT min(place) FROM events WHERE pipeline_id = $1", new.id) > far
        assert await pool.fetchval(invariants.MISPLACED) == 0
        again = await pool.fetchval(NEXT)
        await migrate(database_url)
        assert await pool.fetchval(NEXT) - again < 1_000
    finally:
        await pool.execute(
            "CREATE OR REPLACE FUNCTION places_before() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 0::bigint'"
        )
