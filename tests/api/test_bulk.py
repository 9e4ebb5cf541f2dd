"""Bulk actions: a filter says which, a dry run says how many, and every pipeline gets its own answer."""

import asyncio
from uuid import UUID, uuid4

import pytest

import app.api.bulk
import app.services.bulk
from tests.support.jobs import popped
from tests.support.locks import held
from tests.support.pipelines import submitted
from tests.support.workers import a_worker

BASE = "/api/v1/pipelines"


@pytest.fixture
def act(client):
    async def call(verb, *, expect=200, dry_run=False, **body):
        query = "?dry_run=true" if dry_run else ""
        answer = await client.post(f"{BASE}/actions/{verb}{query}", json=body)
        assert answer.status_code == expect, answer.text
        return answer.json()

    return call


@pytest.fixture
def failed(submit, pool):
    """A pipeline whose only stage has failed."""

    async def make(**fields):
        pipeline = await submit(start=True, **fields)
        stored = await submitted(pool, pipeline["uuid"])
        await (await a_worker(pool)).fail(stored, "a")
        await stored.release()
        return pipeline

    return make


@pytest.fixture
def statuses(client):
    async def get(*pipelines):
        answers = [await client.get(f"{BASE}/{pipeline['uuid']}") for pipeline in pipelines]
        return [answer.json()["status"] if answer.status_code == 200 else None for answer in answers]

    return get


def ok(pipeline, *status):
    return {"uuid": pipeline["uuid"], "ok": True} | ({"status": status[0]} if status else {})


def refusals(answer):
    return {
        item["uuid"]: (item["problem"]["status"], item["problem"]["code"]) for item in answer["items"] if not item["ok"]
    }


async def test_cancel_all_of_a_team_and_nothing_else(submit, act, statuses):
    mine = [await submit(labels={"team": "vision"}, start=start) for start in (True, False)]
    other, ended = await submit(start=True), await submit(labels={"team": "vision"}, start=True)
    await act("cancel", filter={"uuids": [ended["uuid"]]})
    answer = await act("cancel", filter={"labels": {"team": "vision"}})
    assert answer == {
        "matched": 2,
        "more": False,
        "next_cursor": None,
        "items": [ok(pipeline, "cancelled") for pipeline in mine],
    }
    assert await statuses(*mine, other) == ["cancelled", "cancelled", "running"]


async def test_a_dry_run_counts_and_changes_nothing(submit, act, pool):
    pipelines = [await submit(start=True), await submit()]
    before = [await (await submitted(pool, pipeline["uuid"])).everything() for pipeline in pipelines]
    answer = await act("cancel", dry_run=True, all=True)
    assert (answer["matched"], answer["more"]) == (2, False)
    assert answer["items"] == [ok(pipelines[0], "running"), ok(pipelines[1], "pending")]
    assert [await (await submitted(pool, pipeline["uuid"])).everything() for pipeline in pipelines] == before


async def test_what_runs_is_asked_to_stop_and_the_workers_are_called_once(submit, act, pool, redis):
    for _ in range(3):
        pipeline = await submit(start=True)
        await (await a_worker(pool)).start(await submitted(pool, pipeline["uuid"]))
    async with redis.pubsub() as calls:
        await calls.subscribe("headway:beat")
        assert (await calls.get_message(timeout=5))["type"] == "subscribe"
        answer = await act("cancel", filter={"status": ["running"]})
        assert [item["status"] for item in answer["items"]] == ["cancelling"] * 3
        assert (await calls.get_message(timeout=5))["type"] == "message"
        assert await calls.get_message(timeout=0.2) is None
    hints = await redis.xrange("headway:events")
    assert len({fields[b"p"] for _, fields in hints[-3:]}) == 3
    assert (await act("cancel", all=True))["matched"] == 0  # there is nothing left to ask for
    for dry_run in (True, False):
        again = await act("cancel", dry_run=dry_run, filter={"uuids": [pipeline["uuid"]]})
        assert again["items"] == [ok(pipeline, "cancelling")]


async def test_retry_all_that_failed_since_a_moment_and_dispatch_them(failed, act, queue, statuses):
    old, new = await failed(), [await failed() for _ in range(2)]
    await queue.redis.flushall()
    answer = await act("retry", filter={"status": ["failed"], "created_after": old["created_at"]})
    assert answer["items"] == [ok(pipeline, "running") for pipeline in new]
    assert await statuses(old, *new) == ["failed", "running", "running"]
    assert len(await popped(queue)) == 2


async def test_delete_what_is_not_under_way_with_its_artifacts(submit, failed, act, settings, statuses):
    pending, running, over = await submit(), await submit(start=True), await failed()
    for pipeline in (running, over):
        (settings.data_dir / "artifacts" / pipeline["uuid"] / "a" / "1").mkdir(parents=True)
    answer = await act("delete", all=True)
    assert answer["items"] == [ok(pending), ok(over)]
    assert await statuses(pending, running, over) == [None, "running", None]
    assert [path.name for path in (settings.data_dir / "artifacts").iterdir()] == [running["uuid"]]


async def test_streams_of_deleted_pipelines_end(submit, act, client):
    pipeline = await submit()
    async with client.stream("GET", f"{BASE}/{pipeline['uuid']}/events") as stream:
        lines = stream.aiter_lines()
        await anext(lines)
        await act("delete", filter={"uuids": [pipeline["uuid"]]})
        async with asyncio.timeout(5):
            assert "event: end" not in [line async for line in lines]


async def test_artifacts_that_cannot_be_removed_are_told_and_the_others_go_on(submit, act, monkeypatch, statuses):
    pipelines = [await submit() for _ in range(3)]

    async def resist(_state, uuid):
        if str(uuid) == pipelines[1]["uuid"]:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(app.api.bulk, "after_delete", resist)
    answer = await act("delete", all=True)
    assert [item["ok"] for item in answer["items"]] == [True, False, True]
    assert answer["items"][1]["problem"]["code"] == "internal"
    assert "Permission denied" in answer["items"][1]["problem"]["detail"]
    assert await statuses(*pipelines) == [None, None, None]


async def test_who_names_pipelines_hears_of_each(submit, act, failed):
    running, broken, unknown = await submit(start=True), await failed(), uuid4()
    answer = await act("retry", filter={"uuids": [str(unknown), running["uuid"], broken["uuid"], broken["uuid"]]})
    assert answer["matched"] == 2
    assert refusals(answer) == {running["uuid"]: (409, "state_conflict"), str(unknown): (404, "not_found")}
    assert answer["items"][1] == ok(broken, "running")
    refused = answer["items"][0]
    assert refused["status"] == "running"
    assert refused["problem"]["instance"] == f"{BASE}/{running['uuid']}"
    assert refused["problem"]["detail"] == "The pipeline is running and cannot be retried."


async def test_so_does_a_dry_run(submit, act, failed):
    running, broken, unknown = await submit(start=True), await failed(), uuid4()
    answer = await act("retry", dry_run=True, filter={"uuids": [str(unknown), running["uuid"], broken["uuid"]]})
    assert refusals(answer) == {running["uuid"]: (409, "state_conflict"), str(unknown): (404, "not_found")}
    assert answer["items"][1] == ok(broken, "failed")


async def test_named_pipelines_can_be_narrowed_further(submit, act, statuses):
    first, second = await submit(name="one", start=True), await submit(name="two", start=True)
    answer = await act("cancel", filter={"uuids": [first["uuid"], second["uuid"]], "name": "two"})
    assert [item["uuid"] for item in answer["items"]] == [second["uuid"]]
    assert await statuses(first, second) == ["running", "cancelled"]


async def test_every_part_of_a_filter_narrows(submit, act):
    first, second = await submit(name="one", labels={"run": "1"}), await submit(name="two", labels={"run": "2"})
    for part, expected in [
        ({"name": "one"}, [first]),
        ({"labels": {"run": "2"}}, [second]),
        ({"created_after": first["created_at"]}, [second]),
        ({"created_before": second["created_at"]}, [first]),
        ({"created_before": first["created_at"]}, []),
        ({"status": ["pending"]}, [first, second]),
        ({"status": ["pending"], "name": "one", "labels": {"run": "2"}}, []),
    ]:
        answer = await act("delete", dry_run=True, filter=part)
        assert [item["uuid"] for item in answer["items"]] == [pipeline["uuid"] for pipeline in expected], part


async def test_a_call_takes_so_many_and_says_where_to_go_on(submit, act, monkeypatch):
    monkeypatch.setattr(app.services.bulk, "BULK_MAX", 2)
    pipelines = [await submit(start=True) for _ in range(5)]
    seen, cursor = [], {}
    for matched, more in [(2, True), (2, True), (1, False)]:
        counted = await act("cancel", dry_run=True, filter={"name": "digits"}, **cursor)
        answer = await act("cancel", filter={"name": "digits"}, **cursor)
        assert (answer["matched"], answer["more"]) == (counted["matched"], counted["more"]) == (matched, more)
        seen += [item["uuid"] for item in answer["items"]]
        cursor = {"cursor": answer["next_cursor"]}
    assert cursor["cursor"] is None
    assert seen == [pipeline["uuid"] for pipeline in pipelines]


async def test_a_call_that_takes_too_long_ends_after_a_chunk_and_goes_on_behind_it(submit, act, monkeypatch):
    monkeypatch.setattr(app.api.bulk, "CHUNK", 2)
    monkeypatch.setattr(app.api.bulk, "TIME_MAX_S", 0)
    pipelines = [await submit(start=True) for _ in range(5)]
    first = await act("cancel", all=True)
    assert (first["matched"], first["more"]) == (2, True)
    monkeypatch.setattr(app.api.bulk, "TIME_MAX_S", 20)
    rest = await act("cancel", all=True, cursor=first["next_cursor"])
    assert (rest["matched"], rest["more"]) == (3, False)
    assert [item["uuid"] for item in first["items"] + rest["items"]] == [pipeline["uuid"] for pipeline in pipelines]


async def test_one_that_somebody_holds_does_not_hold_up_the_others(submit, act, pool, statuses):
    pipelines = [await submit(start=True) for _ in range(6)]
    async with held(pool, await submitted(pool, pipelines[2]["uuid"])):
        answer = await act("cancel", all=True)
    assert refusals(answer) == {pipelines[2]["uuid"]: (503, "unavailable")}
    assert answer["items"][2]["status"] == "running"
    assert await statuses(*pipelines) == ["cancelled"] * 2 + ["running"] + ["cancelled"] * 3


async def test_a_hundred_and_twenty_at_once(submit, act, queue):
    for _ in range(120):
        await submit(start=True)
    answer = await act("cancel", filter={"status": ["running", "running"]})
    assert answer["matched"] == len({item["uuid"] for item in answer["items"]}) == 120
    assert all(item["ok"] and item["status"] == "cancelled" for item in answer["items"])


A_UUID = str(UUID(int=1))
REFUSED = {
    "nothing said": ({}, "filter_required", "/filter"),
    "an empty filter": ({"filter": {}}, "filter_required", "/filter"),
    "an empty filter and not all": ({"filter": {}, "all": False}, "filter_required", "/filter"),
    "a filter and all": ({"filter": {"name": "a"}, "all": True}, "filter_and_all", "/all"),
    "no status": ({"filter": {"status": []}}, "invalid_value", "/filter/status"),
    "no uuid": ({"filter": {"uuids": []}}, "invalid_value", "/filter/uuids"),
    "no label": ({"filter": {"labels": {}}}, "invalid_value", "/filter/labels"),
    "null": ({"filter": {"name": None}}, "invalid_value", "/filter/name"),
    "an unknown status": ({"filter": {"status": ["runing"]}}, "invalid_value", "/filter/status/0"),
    "one status for a list": ({"filter": {"status": "running"}}, "invalid_value", "/filter/status"),
    "an unknown field": ({"filter": {"stauts": ["running"]}}, "unknown_field", "/filter/stauts"),
    "another unknown field": ({"filtre": {"name": "a"}}, "unknown_field", "/filtre"),
    "all as text": ({"all": "true"}, "invalid_value", "/all"),
    "what is no uuid": ({"filter": {"uuids": ["a"]}}, "invalid_value", "/filter/uuids/0"),
    "1,001 uuids": ({"filter": {"uuids": [A_UUID] * 1_001}}, "invalid_value", "/filter/uuids"),
    "no time zone": ({"filter": {"created_after": "2030-01-31T12:00:00"}}, "invalid_value", "/filter/created_after"),
    "before the year 1": ({"filter": {"created_before": "0001-01-01T00:00:00+14:00"}}, "invalid_value", None),
    "a cursor of somebody else": ({"all": True, "cursor": "bm9uZQ"}, "cursor_invalid", None),
    "a name that nobody has": ({"filter": {"name": "a\0"}}, "bad_character", "/filter/name"),
    "a label that nobody has": ({"filter": {"labels": {"a": "\0"}}}, "bad_character", "/filter/labels/a"),
    "a key that nobody has": ({"filter": {"labels": {"\0": "a"}}}, "bad_character", "/filter/labels"),
    "a status that does not fit": (
        {"filter": {"status": ["running", "completed"]}},
        "status_does_not_fit",
        "/filter/status/1",
    ),
}


async def test_what_is_not_clear_is_refused_and_changes_nothing(client, submit, statuses):
    pipeline, got = await submit(start=True), {}
    for name, (body, *_) in REFUSED.items():
        answer = await client.post(f"{BASE}/actions/cancel", json=body)
        assert answer.status_code == 422, (name, answer.text)
        fault = answer.json()["errors"][0]
        got[name] = (fault["code"], fault.get("pointer"))
    assert got == {name: (code, pointer) for name, (_, code, pointer) in REFUSED.items()}
    assert await statuses(pipeline) == ["running"]


@pytest.mark.parametrize(
    ("verb", "fitting"),
    [
        ("cancel", {"pending", "running", "paused", "cancelling"}),
        ("retry", {"failed", "cancelled"}),
        ("delete", {"pending", "completed", "failed", "cancelled"}),
    ],
)
async def test_a_status_that_a_verb_does_not_fit_is_refused_by_name(client, verb, fitting):
    for status in ("pending", "running", "paused", "cancelling", "completed", "failed", "cancelled"):
        answer = await client.post(f"{BASE}/actions/{verb}", json={"filter": {"status": [status]}})
        assert answer.status_code == (200 if status in fitting else 422), status


async def test_there_is_no_other_verb(client):
    answer = await client.post(f"{BASE}/actions/pause", json={"all": True})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
