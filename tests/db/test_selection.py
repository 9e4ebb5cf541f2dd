"""With a long history behind it, no selection walks through what it does not ask for."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from app.db import selection
from schemas.bulk import PipelineFilter

FINISHED = 100_000
FILL = """
INSERT INTO pipelines (uuid, name, status, stage_count, open_stages, broken_stages, error, created_at, started_at,
                       finished_at)
SELECT gen_random_uuid(), 'p' || n, h.status, 1, 0, (h.status <> 'completed')::integer,
       CASE h.status WHEN 'failed' THEN '{}'::jsonb END, h.moment, h.moment, h.moment
  FROM generate_series(1, $1::integer) AS n
 CROSS JOIN LATERAL (SELECT CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'completed' END AS status,
                            now() - ($1::integer - n) * interval '1 s' AS moment) AS h"""
NOW, LONG_AGO = datetime.now(UTC) + timedelta(days=1), datetime(2000, 1, 1, tzinfo=UTC)
WANTED = {
    "what runs": {"status": ["running"]},
    "what has not ended": {"status": ["pending", "running", "paused", "cancelling"]},
    "what has not ended and has a name": {"status": ["pending", "running"], "name": "nobody"},
    "what was cancelled": {"status": ["cancelled"]},
    "what has failed, which is rare": {"status": ["failed"]},
    "what has ended": {"status": ["failed", "completed", "cancelled"]},
    "what is newer than all": {"created_after": NOW},
    "what has failed since": {"created_after": NOW, "status": ["failed"]},
    "what is older than all": {"created_before": LONG_AGO},
    "everything": {},
}
PAGES_MAX = 300


class Explained:
    """A connection that also counts the pages of 8 KiB which its queries read."""

    def __init__(self, c) -> None:
        self.c = c
        self.pages = 0

    async def fetch(self, query, *arguments):
        plan = await self.c.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", *arguments)
        top = json.loads(plan)[0]["Plan"]
        self.pages += top["Shared Hit Blocks"] + top["Shared Read Blocks"]
        return await self.c.fetch(query, *arguments)


@pytest.fixture
async def history(pool):
    """A connection to a database in which 100,000 pipelines have ended, and Postgres has not noticed yet."""
    await pool.execute("ALTER TABLE pipelines SET (autovacuum_enabled = off)")
    await pool.execute("TRUNCATE pipelines CASCADE")  # with what the tests before have left to be vacuumed
    async with pool.acquire() as c:
        await c.execute(FILL, FINISHED, timeout=120)
        yield c
    await pool.execute("TRUNCATE pipelines CASCADE")
    await pool.execute("ALTER TABLE pipelines RESET (autovacuum_enabled)")


async def pages_read(c, wanted, *, newest_first):
    """What it takes to find 51 pipelines, or that there are no more."""
    explained, found, behind, searched = Explained(c), [], None, False
    while len(found) < 51 and (behind or not searched):
        searched = True
        more, behind = await selection.page(
            explained, "default", PipelineFilter(**wanted), behind=behind, newest_first=newest_first, steps=51, limit=51
        )
        found += more
        assert explained.pages < 100 * PAGES_MAX
    return explained.pages


async def test_what_is_not_there_costs_nothing_to_look_for_whatever_postgres_believes_of_its_tables(history):
    assert await history.fetchval("SELECT pg_relation_size('pipelines') / 8192") > 3 * PAGES_MAX
    for statistics in ("of an empty table", "fresh"):
        read = {
            (what, newest_first): await pages_read(history, wanted, newest_first=newest_first)
            for what, wanted in WANTED.items()
            for newest_first in (True, False)
        }
        assert {what: pages for what, pages in read.items() if pages > PAGES_MAX} == {}, statistics
        await history.execute("ANALYZE pipelines")


async def test_a_step_through_history_is_as_long_as_it_was_asked_to_be(history):
    async def step(behind):
        wanted = PipelineFilter(name="p90001")
        return await selection.page(history, "default", wanted, behind=behind, newest_first=True, steps=9_999, limit=51)

    found, behind = await step(None)
    assert (found, behind.id) == ([], await history.fetchval("SELECT id FROM pipelines WHERE name = 'p90002'"))
    found, behind = await step(behind)
    assert [summary.name for summary, _ in found] == ["p90001"]
