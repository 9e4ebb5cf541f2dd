"""Tasks: a stage by itself, while it runs and afterwards: its log, what it measures, its attempts, its result."""

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from tests.support.installation import Headway, Installation, noop
from tests.support.processes import WITHIN_S, Oracle, until

TASKS = "/api/v1/tasks"


async def answer(headway: Headway, path: str) -> Any:
    """What the API says, as JSON."""
    return json.loads(await headway.ask("GET", path))


class Followed:
    """The events of a log that is followed; ``text`` is all that was printed, by attempt."""

    def __init__(self, lines) -> None:
        self._lines = lines
        self.text: dict[int, str] = {}
        self.place = ""

    async def next(self) -> tuple[str, dict[str, Any]]:
        """The next event and its data."""
        fields: dict[str, str] = {}
        async for line in self._lines:
            name, _, value = line.partition(":")
            if not line and "event" in fields:
                break
            fields[name] = value.strip()
        data = json.loads(fields["data"])
        if fields["event"] == "log":
            self.place = fields["id"]
            self.text[data["attempt"]] = self.text.get(data["attempt"], "") + data["text"]
        return fields["event"], data

    async def until(self, attempt: int, text: str) -> None:
        """Follow until an attempt has printed exactly this."""
        async with asyncio.timeout(WITHIN_S):
            while self.text.get(attempt, "") != text:
                event, _ = await self.next()
                assert event == "log", self.text

    async def end(self) -> dict[str, Any]:
        """Follow to the end of the task."""
        async with asyncio.timeout(WITHIN_S):
            while (news := await self.next())[0] == "log":
                pass
        assert news[0] == "end"
        return news[1]


@asynccontextmanager
async def follow(headway: Headway, task: UUID, **headers: str):
    """Follow the log of a task."""
    async with headway._http._http.stream(
        "GET", f"{TASKS}/{task}/logs?follow=true", headers=headers, timeout=WITHIN_S
    ) as stream:
        assert stream.status_code == 200
        yield Followed(stream.aiter_lines())


async def test_what_a_process_prints_is_followed_as_it_comes_through_all_of_its_attempts(
    headway: Headway, oracle: Oracle
):
    code = r"""
    print("attempt", attempt, "\x1b[1mbegins\x1b[0m é 🚂", flush=True)
    wait_for(f"go-{attempt}")
    print("and ends, on stderr", file=sys.stderr)
    sys.exit(attempt < 2)
    """
    pipeline = await headway.submit(oracle.stage("talk", code, max_retries=1, retry_delay=0.2))
    task = (await headway.stage(pipeline, "talk")).task_id

    async with follow(headway, task) as log:
        await log.until(1, "attempt 1 \x1b[1mbegins\x1b[0m é 🚂\n")
        oracle.say("go-1")
        await log.until(1, "attempt 1 \x1b[1mbegins\x1b[0m é 🚂\nand ends, on stderr\n")
        await log.until(2, "attempt 2 \x1b[1mbegins\x1b[0m é 🚂\n")
    async with follow(headway, task, **{"Last-Event-ID": log.place}) as rest:
        oracle.say("go-2")
        assert await rest.end() == {"status": "completed"}

    assert rest.text == {2: "and ends, on stderr\n"}
    assert (await headway.ask("GET", f"{TASKS}/{task}/logs?attempt=1&tail=1")).decode() == "and ends, on stderr\n"


async def test_a_cancelled_task_ends_its_followed_log_with_its_last_words(headway: Headway, oracle: Oracle):
    code = """
    signal.signal(signal.SIGTERM, lambda *_: (print("saving", flush=True), sys.exit(85)))
    print("runs", flush=True)
    forever()
    """
    pipeline = await headway.submit(oracle.stage("endless", code))
    async with follow(headway, (await headway.stage(pipeline, "endless")).task_id) as log:
        await log.until(1, "runs\n")
        await headway.cancel(pipeline)
        assert await log.end() == {"status": "cancelled"}
    assert log.text == {1: "runs\nsaving\n"}


async def test_what_a_process_measures_is_there_while_it_runs_and_stays(headway: Headway, oracle: Oracle):
    code = """
    report(type="metrics", step=1, values={"loss": 0.5, "lr": 0.1, "broken": float("nan")})
    say("measured")
    wait_for("go")
    report(type="metrics", step=2, values={"loss": 0.25})
    """
    pipeline = await headway.submit(oracle.stage("train", code))
    task = (await headway.stage(pipeline, "train")).task_id

    async def measured(query: str = "") -> dict[str, list[list[float]]]:
        items = (await answer(headway, f"{TASKS}/{task}/metrics{query}"))["items"]
        return {each["name"]: [point[:2] for point in each["points"]] for each in items}

    await oracle.heard("measured")

    async def is_there() -> bool:
        return await measured() == {"loss": [[1, 0.5]], "lr": [[1, 0.1]]}

    await until(is_there, "what was measured is not to be read")
    oracle.say("go")
    await headway.ended(pipeline)
    assert await measured("?name=loss") == {"loss": [[1, 0.5], [2, 0.25]]}


async def test_a_task_is_found_in_lists_and_tells_how_it_went(
    headway: Headway, installation: Installation, oracle: Oracle
):
    pipeline = await headway.run(
        oracle.stage("flaky", "sys.exit(attempt < 2)", max_retries=1, retry_delay=0),
        oracle.stage("broken", "sys.exit(3)"),
        noop("never", "broken"),
    )
    tasks = pipeline.stage_tasks

    listed = await answer(headway, f"{TASKS}?pipeline={pipeline.uuid}&status=failed&status=skipped")
    assert [(each["name"], each["status"]) for each in listed["items"]] == [("never", "skipped"), ("broken", "failed")]
    flaky = await answer(headway, f"{TASKS}/{tasks['flaky']}")
    assert [(each["attempt"], each["outcome"]) for each in flaky["attempts"]] == [(1, "failed"), (2, "completed")]
    assert flaky["attempts"][0]["error"]["exit_code"] == 1
    assert flaky["attempts"][1]["worker"] == flaky["worker"]
    results = {name: await answer(headway, f"{TASKS}/{task}/result") for name, task in tasks.items()}
    assert results["flaky"]["result"]["exit_code"] == 0
    assert (results["broken"]["result"], results["broken"]["error"]["exit_code"]) == (None, 3)
    assert results["never"]["status"] == "skipped"


async def test_the_overview_sees_workers_queues_and_what_ends(headway: Headway, oracle: Oracle):
    async def overview() -> Any:
        return await answer(headway, f"{TASKS}/stats/overview")

    before = await overview()
    pipeline = await headway.submit(oracle.stage("busy", "say('busy'); wait_for('go')", queue="maintenance"))
    await oracle.heard("busy")
    during = await overview()
    (worker,) = [each for each in (await answer(headway, "/api/v1/workers"))["items"] if each["state"] == "live"]
    maintenance = (await answer(headway, "/api/v1/queues"))["items"][-1]
    oracle.say("go")
    await headway.ended(pipeline)

    assert during["slots"]["process"] == worker["slots"]["process"] == {"total": 2, "busy": 1}
    assert (maintenance["running"], during["by_queue"]["maintenance"]["running"]) == (1, 1)
    ended = before["by_status"]["completed"] + 1

    async def is_counted() -> bool:
        return (await overview())["by_status"]["completed"] == ended

    await until(is_counted, "the scheduler has not counted it")
    assert "run_command" in [each["task"] for each in (await overview())["last_hour"]]
