"""A pipeline as a graph: every stage once, every edge once, and levels that can be drawn from left to right."""

import pytest

from tests.support.pipelines import chain, submitted
from tests.support.pipelines import submit as store
from tests.support.workers import a_worker

BASE = "/api/v1/pipelines"


def stage(name, *depends_on, **params):
    return {"name": name, "task": "learn", "depends_on": depends_on, "params": params}


@pytest.fixture
def graph(client):
    async def get(uuid):
        answer = await client.get(f"{BASE}/{uuid}/graph")
        assert answer.status_code == 200, answer.text
        return answer.json()

    return get


async def test_a_diamond_has_three_levels(submit, graph):
    pipeline = await submit(stage("a"), stage("b", "a"), stage("c", "a"), stage("d", "b", "c"))
    drawn = await graph(pipeline["uuid"])
    assert drawn["levels"] == [["a"], ["b", "c"], ["d"]]
    assert drawn["edges"] == [
        {"from": "a", "to": "b"},
        {"from": "a", "to": "c"},
        {"from": "b", "to": "d"},
        {"from": "c", "to": "d"},
    ]
    assert drawn["nodes"][3] == {
        "name": "d",
        "task": "learn",
        "queue": "default",
        "status": "pending",
        "task_id": pipeline["stage_tasks"]["d"],
        "level": 2,
        "attempt": 0,
        "progress": None,
    }


async def test_a_stage_stands_behind_the_last_of_those_it_waits_for(submit, graph):
    drawn = await graph((await submit(stage("a"), stage("b", "a"), stage("c", "a", "b"), stage("x")))["uuid"])
    assert drawn["levels"] == [["a", "x"], ["b"], ["c"]]
    assert {node["name"]: node["level"] for node in drawn["nodes"]} == {"a": 0, "x": 0, "b": 1, "c": 2}


async def test_an_edge_that_a_reference_has_made_is_an_edge(submit, graph):
    drawn = await graph(
        (await submit(stage("a"), stage("b", anything={"from": "stages.a.result.accuracy"})))["uuid"],
    )
    assert drawn["edges"] == [{"from": "a", "to": "b"}]


async def test_it_shows_how_far_each_stage_has_come(submit, graph, pool):
    pipeline = await submit(stage("a"), stage("b", "a"), start=True)
    stored, worker = await submitted(pool, pipeline["uuid"]), await a_worker(pool)
    await worker.complete(stored, "a")
    await stored.release()
    await worker.start(stored, "b")
    nodes = (await graph(pipeline["uuid"]))["nodes"]
    assert [(node["status"], node["attempt"], node["progress"]) for node in nodes] == [
        ("completed", 1, 1),
        ("running", 1, None),
    ]


async def test_a_chain_of_a_thousand_stages_is_drawn_too(graph, pool):
    drawn = await graph((await store(pool, chain(1_000))).uuid)
    assert (len(drawn["nodes"]), len(drawn["edges"]), len(drawn["levels"])) == (1_000, 999, 1_000)
