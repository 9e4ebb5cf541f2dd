"""The stream of all pipelines: everything at least once, each pipeline in order, resumable, filtered, never ending."""

import json
from uuid import UUID

import pytest

from schemas.event import LiveEvent, LiveType
from tests.support.streams import Stream, known, of, types
from tests.support.writers import writing

BASE = "/api/v1/pipelines"
EVENTS = "/api/v1/events"


async def test_a_stream_tells_what_happens_from_now_on_in_all_pipelines(client, submit, follow_all):
    old = await submit()
    async with follow_all() as stream:
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        assert stream.answer.headers["cache-control"] == "no-cache"
        new = await submit()
        assert [known(await stream.event())] == of(new, 1)
        await client.post(f"{BASE}/{old['uuid']}/start")
        events = await stream.events(2)
    assert types(events) == ["pipeline.started", "stage.queued"]
    assert [known(event) for event in events] == of(old, 2, 3)


async def test_an_event_is_that_of_its_pipelines_stream_but_for_the_cursor(client, submit, follow_all):
    pipeline = await submit(start=True)
    await client.post(f"{BASE}/{pipeline['uuid']}/cancel")
    alone = Stream(await client.get(f"{BASE}/{pipeline['uuid']}/events"))
    async with follow_all("?after=begin") as stream:
        for expected in (await alone.rest())[:-1]:
            event = await stream.event()
            assert json.loads(event["data"]) == json.loads(expected["data"])
            assert event["event"] == expected["event"]
            assert event["id"] != expected["id"]


@pytest.mark.parametrize("oldest", ["begin", "0"])
async def test_a_stream_may_begin_with_the_oldest_event_that_is_kept(client, submit, follow_all, oldest):
    gone, kept = await submit(), await submit(start=True)
    await client.delete(f"{BASE}/{gone['uuid']}")
    async with follow_all(f"?after={oldest}") as stream:
        assert [known(event) for event in await stream.events(3)] == of(kept, 1, 2, 3)


async def test_a_client_resumes_behind_any_event_by_header_or_query_and_the_header_wins(submit, follow_all):
    await submit(start=True)
    await submit(start=True)
    async with follow_all("?after=begin") as stream:
        events = await stream.events(6)
    for number, event in enumerate(events[:-1], 1):
        for query, headers in [
            (f"?after={event['id']}", {}),
            ("", {"last-event-id": event["id"]}),
            ("?after=begin", {"last-event-id": event["id"]}),
        ]:
            async with follow_all(query, **headers) as stream:
                assert await stream.events(6 - number) == events[number:]


async def test_who_was_cut_off_before_the_first_event_has_a_cursor_all_the_same(client, submit):
    async with client.stream("GET", EVENTS) as answer:
        first = await Stream(answer).frame()
    pipeline = await submit()
    async with client.stream("GET", EVENTS, headers={"last-event-id": first["id"]}) as answer:
        assert known(await Stream(answer).event()) == (pipeline["uuid"], 1)


async def test_who_has_seen_everything_waits_for_more(client, submit, follow_all):
    pipeline = await submit()
    await client.post(f"{BASE}/{pipeline['uuid']}/cancel")
    async with follow_all("?after=begin") as stream:
        (*_, last) = await stream.events(4)
    async with follow_all("", **{"last-event-id": last["id"]}) as stream:
        new = await submit()
        assert known(await stream.event()) == (new["uuid"], 1)


@pytest.mark.usefixtures("no_poll")
async def test_events_of_a_transaction_that_commits_late_come_before_and_after_a_reconnect(
    pool, submit, follow_all, append, hint
):
    early, late = await submit(), await submit()
    async with writing(pool) as writer, follow_all() as stream:
        await writer.append(UUID(late["uuid"]))
        await append(early["uuid"])
        await hint(early)
        seen = await stream.event()
        assert known(seen) == (early["uuid"], 2)
        async with follow_all("", **{"last-event-id": seen["id"]}) as resumed:
            await writer.c.execute("COMMIT; BEGIN")
            await hint(late)
            assert [known(await stream.event())] == of(late, 2)
            again = {known(await resumed.event()) for _ in range(2)}
    assert again == {(early["uuid"], 2), (late["uuid"], 2)}


async def test_filters(api, client, submit, follow_all):
    """Each sees the events that all of its filters let pass: one of the types, one of the statuses, all labels."""
    api[0].app.state.heartbeat_s = 0.1
    red = await submit(labels={"team": "red", "size": "big"}, start=True)
    blue = await submit(labels={"team": "blue", "size": "big"}, start=True)
    await client.post(f"{BASE}/{red['uuid']}/cancel")
    await client.post(f"{BASE}/{blue['uuid']}/cancel")
    everything = of(red, 1, 2, 3) + of(blue, 1, 2, 3) + of(red, 4, 5, 6) + of(blue, 4, 5, 6)
    for query, expected in {
        "": everything,
        "&label=team:red": of(red, 1, 2, 3, 4, 5, 6),
        "&label=size:big": everything,
        "&label=size:big&label=team:blue": of(blue, 1, 2, 3, 4, 5, 6),
        "&label=team:": [],
        "&status=pending": of(red, 1) + of(blue, 1),
        "&status=running": of(red, 2, 3) + of(blue, 2, 3),
        "&status=cancelling&status=cancelled": of(red, 4, 5, 6) + of(blue, 4, 5, 6),
        "&status=cancelled&label=team:red": of(red, 6),
        "&type=stage.queued&type=pipeline.created": of(red, 1, 3) + of(blue, 1, 3),
        "&type=stage.queued&status=cancelled": [],
    }.items():
        async with follow_all(f"?after=begin{query}") as stream:
            assert [known(event) for event in await stream.to_the_heartbeat()] == expected, query


async def test_a_live_stream_is_filtered_like_a_replay(client, submit, follow_all, queue):
    async with (
        follow_all("?label=team:red") as labelled,
        follow_all("?status=cancelled") as ended,
        follow_all("?type=stage.progress&type=pipeline.created") as typed,
        follow_all("?type=stage.progress&label=team:red") as both,
    ):
        blue = await submit(labels={"team": "blue"}, start=True)
        red = await submit(labels={"team": "red"}, start=True)
        assert [known(event) for event in await labelled.events(3)] == of(red, 1, 2, 3)
        assert [known(event) for event in await typed.events(2)] == of(blue, 1) + of(red, 1)
        await queue.tell(
            LiveEvent(each["uuid"], LiveType.STAGE_PROGRESS, "a", {"fraction": 0.5}) for each in (blue, red)
        )
        for stream, expected in ((typed, (blue, red)), (labelled, (red,)), (both, (red,))):
            for pipeline in expected:
                event = await stream.event()
                told = json.loads(event["data"])
                assert (event["event"], told["id"], "id" in event) == ("stage.progress", None, False)
                assert told["source"] == f"{BASE}/{pipeline['uuid']}"
        await client.post(f"{BASE}/{blue['uuid']}/cancel")
        assert [known(await ended.event())] == of(blue, 6)


BAD_CURSORS = ["x", "", "-1", "4", "99999999999999999999", "A" * 101, "a%00"]
BAD_FILTERS = ["status=sleeping", "status=", "label=team", "label=:x", "label=", "type=stage.exploded", "type="]
UNKNOWN = ["types=stage.queued", "cursor=begin", "statuses=running"]


@pytest.mark.parametrize("query", [*(f"after={cursor}" for cursor in BAD_CURSORS), *BAD_FILTERS, *UNKNOWN])
async def test_what_cannot_be_is_refused(client, query):
    answer = await client.get(f"{EVENTS}?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"]


async def test_cursors_of_other_lists_and_streams_are_refused(client, submit):
    for _ in range(2):
        await submit()
    other = (await client.get(f"{BASE}?limit=1")).json()["next_cursor"]
    for place in (other, "2"):
        answer = await client.get(EVENTS, headers={"last-event-id": place})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "cursor_invalid")
        assert "after=begin" in answer.json()["detail"]
