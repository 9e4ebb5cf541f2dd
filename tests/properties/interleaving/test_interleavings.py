"""2,000 schedules of a few clients on real Postgres: whatever they do, it is as if they had come one after the other.

Every client stops wherever it holds or wants a lock, dies there or goes on: ``stand.py`` says how, ``schedule.py``
what they do, ``reference/`` what must come of it. The schedules differ from each other as much as chance allows, but
they are the same in each run, so that who breaks one has broken it. A seed is a hundred of them. What a failing seed
did, and the smallest schedule that does it:

    python -m tests.properties.interleaving SEED --shrink
"""

import time

import asyncpg
import pytest

from tests.properties.interleaving.__main__ import tell
from tests.properties.interleaving.campaign import COUNT, Campaign, run_many, run_schedules
from tests.properties.interleaving.sometimes import too_rare
from tests.properties.interleaving.surgery import replace
from tests.properties.simulation.campaign import cores

SEEDS = range(20)
LATE = "status = 'running'"
EARLY = "CASE WHEN seen.running() IS NULL THEN status = 'running' ELSE id = ANY (seen.running()) END"
SEE = """
CREATE SCHEMA seen;
CREATE FUNCTION seen.running() RETURNS bigint[] LANGUAGE sql AS
    $$ SELECT nullif(current_setting('seen.running', true), '')::bigint[] $$;
CREATE FUNCTION seen.see() RETURNS text LANGUAGE sql AS $$
    SELECT set_config('seen.running', (
        SELECT coalesce(array_agg(id), '{}')::text FROM pipelines WHERE status = 'running'), true) $$"""
pytestmark = pytest.mark.timeout(900)  # on a busy machine


@pytest.fixture(scope="module")
async def databases(make_database) -> list[str]:
    return [await make_database() for _ in range(cores())]


@pytest.fixture(scope="module")
def campaign(databases, request) -> Campaign:
    began = time.monotonic()
    campaign = run_many(databases, SEEDS)
    told = "\n".join(tell(campaign, time.monotonic() - began))
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        request.config.get_terminal_writer().line(f"\n{told}")
    return campaign


def test_whatever_clients_do_it_is_as_if_they_had_come_one_after_the_other(campaign: Campaign):
    assert not campaign.violations, "\n\n".join(campaign.violations)
    assert campaign.schedules >= len(SEEDS) * COUNT


def test_every_kind_of_trouble_was_met_often_enough(campaign: Campaign):
    assert too_rare(campaign.met, campaign.schedules) == {}


@pytest.fixture(scope="module")
async def defective(make_database) -> str:
    """Claims look whether a pipeline runs before they have its lock."""
    url = await make_database()
    c = await asyncpg.connect(url)
    await c.execute(SEE)
    await replace(c, "claim_stages", ("    locked bigint[]", "    seen text := seen.see();\n    locked bigint[]"))
    await replace(c, "start_stages", (f"ANY (locked) AND {LATE}", f"ANY (locked) AND {EARLY}"))
    await c.close()
    return url


def test_a_decision_before_the_lock_is_found(defective: str):
    """What no single client can ever see."""
    campaign = run_schedules(defective, seed=0, count=500)
    assert "Claim answered claims" in campaign.violations[0]
