"""Selections: the right pipelines in the right order, page after page."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest

from app.core.cursor import write_cursor
from app.errors import InvalidRequest
from app.services import pipelines, selection
from app.services.pipelines import list_page
from schemas.bulk import PipelineFilter
from tests.support.pipelines import submit

A_MOMENT = datetime(2030, 1, 31, tzinfo=UTC)


async def names(pool, *, limit=200, sort="created_at", **wanted):
    """The names of all that match, page after page."""
    page = await list_page(pool, PipelineFilter(**wanted), limit=limit, sort=sort)
    found = [summary.name for summary in page.items]
    while page.next_cursor is not None:
        page = await list_page(pool, PipelineFilter(**wanted), cursor=page.next_cursor, limit=limit, sort=sort)
        found += [summary.name for summary in page.items]
    return found


@pytest.fixture
async def mixed(pool):
    """Seven pipelines, p0 to p6: running, pending, cancelled, running, …"""
    for number in range(7):
        pipeline = await submit(pool, start=number % 3 != 1, name=f"p{number}")
        if number % 3 == 2:
            await pipelines.cancel(pool, pipeline.uuid)
    return pool


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
async def test_several_statuses_make_one_list_in_order_of_age(mixed, limit):
    assert await names(mixed, limit=limit, status=["cancelled", "running"]) == ["p0", "p2", "p3", "p5", "p6"]
    assert await names(mixed, limit=limit, status=["pending"], sort="-created_at") == ["p4", "p1"]
    assert await names(mixed, limit=limit) == [f"p{number}" for number in range(7)]


async def test_a_status_named_twice_is_named_once(mixed):
    assert await names(mixed, status=["pending", "pending"]) == ["p1", "p4"]


async def test_the_bounds_in_time_are_open(mixed):
    moments = {row["name"]: row["created_at"] for row in await mixed.fetch("SELECT name, created_at FROM pipelines")}
    between = {"created_after": moments["p1"], "created_before": moments["p5"]}
    assert await names(mixed, **between) == ["p2", "p3", "p4"]
    assert await names(mixed, **between, sort="-created_at", limit=1) == ["p4", "p3", "p2"]
    assert await names(mixed, **between, status=["running", "cancelled"]) == ["p2", "p3"]


async def test_pipelines_of_the_same_moment_are_neither_lost_nor_doubled(mixed):
    await mixed.execute("UPDATE pipelines SET created_at = $1", A_MOMENT)
    for sort in ("created_at", "-created_at"):
        found = await names(mixed, limit=2, sort=sort)
        assert sorted(found, reverse=sort.startswith("-")) == found
        assert len(found) == 7


async def test_of_named_pipelines_those_that_are_there_and_match(mixed):
    uuids = [row["uuid"] for row in await mixed.fetch("SELECT uuid FROM pipelines ORDER BY name")]
    assert await names(mixed, uuids=[uuids[4], uuid4(), uuids[0]]) == ["p0", "p4"]
    assert await names(mixed, uuids=uuids, status=["cancelled"]) == ["p2", "p5"]


async def test_a_page_ends_after_a_while_and_the_next_goes_on_there(mixed, monkeypatch):
    monkeypatch.setattr(pipelines, "LOOK_AT_MAX", 2)
    page = await list_page(mixed, PipelineFilter(name="p6"), limit=1, sort="created_at")
    assert (page.items, page.next_cursor is None) == ([], False)
    assert await names(mixed, limit=1, name="p6") == ["p6"]
    assert await names(mixed, limit=1, name="p3", sort="-created_at") == ["p3"]
    assert await names(mixed, limit=1, name="none") == []


async def test_it_takes_longer_steps_the_less_it_finds(mixed, monkeypatch):
    steps, page = [], selection.db.page

    async def counted(*args, **options):
        steps.append(options["steps"])
        return await page(*args, **options)

    monkeypatch.setattr(selection.db, "page", counted)
    monkeypatch.setattr(selection, "STEPS_MAX", 20)
    await names(mixed, limit=1, name="none")
    assert steps == [2, 16]
    steps.clear()
    await names(mixed, limit=1, status=["running"])
    assert steps == [2, 2, 2]


@pytest.mark.parametrize(
    "moment",
    [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=14))),
    ],
)
async def test_a_time_that_its_zone_moves_out_of_the_calendar_is_refused(pool, moment):
    for bound in ("created_after", "created_before"):
        with pytest.raises(InvalidRequest, match=f"{bound} is beyond the calendar"):
            await list_page(pool, PipelineFilter(**{bound: moment}))
    with pytest.raises(InvalidRequest, match="cursor is beyond the calendar"):
        await list_page(pool, PipelineFilter(), cursor=write_cursor((moment, 1)))
