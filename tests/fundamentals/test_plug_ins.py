"""Users' own tasks, in a fleet of two workers of which only one knows them."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.client import ApiError
from tests.support.installation import Headway, Installation, noop, stage_of
from tests.support.processes import until


@pytest.fixture(scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """Beside the worker with the plug-ins runs one that has none."""
    async with Installation(tmp_path_factory.mktemp("headway"), worker_concurrency=2) as installation:
        installation.api()
        installation.scheduler()
        installation.worker()
        installation.worker(task_modules="notify_task, shard_task, trials")
        await installation.ready()
        yield installation


@pytest.fixture
async def webhook() -> AsyncIterator["Webhook"]:
    """Somebody who listens to notices."""
    webhook = Webhook()
    async with await asyncio.start_server(webhook.answer, "127.0.0.1", 0) as server:
        webhook.url = "http://{}:{}".format(*server.sockets[0].getsockname())
        yield webhook


class Webhook:
    """Keeps what it was told, and answers with ``status``."""

    def __init__(self) -> None:
        self.status = 200
        self.told: list[dict[str, Any]] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split()[0])
        self.told.append(json.loads(await reader.readexactly(length)))
        writer.write(f"HTTP/1.1 {self.status} .\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        writer.close()


def shard(path: Path | str, **fields: Any) -> dict[str, Any]:
    return {"name": "shard", "task": "shard", "params": {"path": str(path), "rows_per_shard": 2}, **fields}


def trial(task: str, does: str, tell: Path | str = "", **fields: Any) -> dict[str, Any]:
    return {"name": "trial", "task": task, "params": {"does": does, "tell": str(tell)}, **fields}


BOTH = pytest.mark.parametrize("task", ["try_inline", "try_process"])


async def test_an_inline_task_of_a_user_runs_in_a_worker_that_knows_it(headway: Headway, webhook: Webhook):
    notice = {"name": "tell", "task": "notify", "params": {"url": webhook.url, "text": "done"}}
    pipeline = await headway.run(noop("a"), notice | {"depends_on": ["a"]}, name="nightly")

    assert pipeline.results["tell"] == {"status": 200}
    task_id = str(pipeline.stage_tasks["tell"])
    assert webhook.told == [{"pipeline": "nightly", "text": "done", "id": task_id}]
    assert stage_of(pipeline, "tell").queue == "maintenance"


async def test_a_function_without_async_runs_in_a_process_of_its_own(
    headway: Headway, installation: Installation, tmp_path: Path
):
    (tmp_path / "rows.jsonl").write_text('{"n": 1}\n{"n": 2}\n{"n": 3}\n')
    uuid = await headway.submit(shard(tmp_path / "rows.jsonl"))
    pipeline = await headway.ended(uuid)

    directory = installation.artifacts(pipeline, "shard")
    files = [str(directory / f"shard-0000{number}.jsonl") for number in range(2)]
    assert pipeline.results["shard"] == {"directory": str(directory), "files": files}
    assert (directory / "shard-00000.jsonl").read_text() == '{"n": 1}\n{"n": 2}\n'
    assert (directory / "shard-00001.jsonl").read_text() == '{"n": 3}\n'
    assert stage_of(pipeline, "shard").progress == 1


async def test_a_command_line_of_a_user_runs_too(headway: Headway):
    pipeline = await headway.run(trial("try.command", "hello"))

    assert pipeline.results["trial"] == {"run_dir": "hello"}


@pytest.mark.parametrize(
    ("params", "pointer", "sentence"),
    [
        ({"path": "/x", "rows": 2}, "/stages/0/params/rows", "shard has no param 'rows'"),
        ({"rows_per_shard": 2}, "/stages/0/params", "shard needs the param 'path'"),
        ({"path": "/x", "rows_per_shard": 0}, "/stages/0/params/rows_per_shard", "less than the minimum of 1"),
    ],
)
async def test_its_params_are_checked_when_a_pipeline_is_submitted(
    headway: Headway, params: dict[str, Any], pointer: str, sentence: str
):
    with pytest.raises(ApiError) as refused:
        await headway.pipelines.check({"name": "p", "stages": [{"name": "shard", "task": "shard", "params": params}]})

    (fault,) = refused.value.faults
    assert (fault.pointer, sentence in fault.detail) == (pointer, True), fault.detail


async def test_a_built_in_task_takes_what_a_users_task_made_and_the_other_way_round(headway: Headway, tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text('{"n": 1}\n')
    find = {"name": "find", "task": "run_command", "params": {"argv": ["echo", str(tmp_path / "rows.jsonl")]}}
    cut = shard("") | {"params": {"path": {"from": "stages.find.result.last_lines.0"}}}
    where = {"name": "look", "task": "run_command"}
    where["params"] = {"argv": ["ls"], "cwd": {"from": "stages.shard.result.directory"}}

    pipeline = await headway.run(find, cut, where)

    assert "shard-00000.jsonl" in pipeline.results["look"]["last_lines"]


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("stages.shard.result.files", "is of type array"),
        ("stages.shard.result.dirctory", "did you mean 'directory'?"),
    ],
)
async def test_a_reference_to_its_result_is_checked_against_what_it_declares(
    headway: Headway, reference: str, sentence: str
):
    params = {"dataset": {"from": reference}, "checkpoint": "/c"}
    evaluate = {"name": "evaluate", "task": "run_evaluation", "params": params}

    with pytest.raises(ApiError) as refused:
        await headway.pipelines.check({"name": "p", "stages": [shard("/rows"), evaluate]})

    (fault,) = refused.value.faults
    assert fault.pointer == "/stages/1/params/dataset"
    assert sentence in fault.detail


@BOTH
async def test_an_exception_is_its_error_with_type_and_traceback_and_is_retried(headway: Headway, task: str):
    pipeline = await headway.run(trial(task, "raise", max_retries=1, retry_delay=0))

    ended = stage_of(pipeline, "trial")
    assert (ended.status, ended.attempt) == ("failed", 2)
    assert ended.error is not None
    assert (ended.error["code"], ended.error["message"]) == ("task_error", "KeyError: 'no such key'")
    assert "trials.py" in ended.error["traceback"]


@BOTH
async def test_an_error_that_is_not_retryable_ends_the_stage(headway: Headway, task: str):
    pipeline = await headway.run(trial(task, "refuse", max_retries=5, retry_delay=0))

    ended = stage_of(pipeline, "trial")
    assert (ended.status, ended.attempt) == ("failed", 1)
    assert ended.error is not None
    assert (ended.error["code"], ended.error["message"]) == ("task_error", "no column named price")


@BOTH
async def test_a_result_that_is_not_what_it_declares_is_refused_and_not_retried(headway: Headway, task: str):
    pipeline = await headway.run(trial(task, "lie", max_retries=5, retry_delay=0))

    ended = stage_of(pipeline, "trial")
    assert (ended.status, ended.attempt) == ("failed", 1)
    assert ended.error is not None
    assert ended.error["code"] == "result_invalid"
    assert "Told" in ended.error["message"]


@BOTH
async def test_a_function_that_calls_exit_ends_itself_and_nobody_else(headway: Headway, task: str):
    pipeline = await headway.run(trial(task, "exit"))

    ended = stage_of(pipeline, "trial")
    assert ended.status == "failed"
    assert ended.error is not None
    assert ended.error["code"] == "task_error"
    assert (await headway.run(trial(task, "return"))).status == "completed"


@BOTH
async def test_one_that_waits_is_cancelled(headway: Headway, task: str, tmp_path: Path):
    tell = tmp_path / "tell"
    pipeline = await headway.submit(trial(task, "wait", tell))
    await until(tell.exists, "it does not run")

    await headway.cancel(pipeline)

    assert stage_of(await headway.ended(pipeline), "trial").status == "cancelled"
    assert tell.read_text() == {"try_inline": "waits", "try_process": "cleaned up"}[task]


@BOTH
async def test_one_that_waits_is_ended_at_its_timeout(headway: Headway, task: str, tmp_path: Path):
    pipeline = await headway.run(trial(task, "wait", tmp_path / "tell", timeout=1))

    ended = stage_of(pipeline, "trial")
    assert ended.error is not None
    assert (ended.status, ended.error["code"]) == ("failed", "timed_out")


async def test_threads_of_an_inline_task_report_too_and_it_has_a_directory_of_its_own(
    headway: Headway, installation: Installation
):
    uuid = await headway.submit(trial("try_inline", "report"))
    pipeline = await headway.ended(uuid)

    directory = installation.artifacts(pipeline, "trial")
    assert pipeline.results["trial"]["run_dir"] == str(directory)
    assert (directory / "note").read_text() == "written here"
    assert (installation.data_dir / "artifacts").stat().st_mode & 0o777 == 0o700


async def test_its_process_never_sees_what_leads_to_headways_servers(headway: Headway, installation: Installation):
    pipeline = await headway.run(trial("try_process", "return"))

    environment = pipeline.results["trial"]["environment"]
    assert environment["HEADWAY_STAGE"] == "trial"
    assert environment["HEADWAY_TASK_ID"] == str(pipeline.stage_tasks["trial"])
    for secret in (installation.postgres.url, installation.valkey.url, "DATABASE_URL", "REDIS_URL"):
        assert secret not in str(environment)


async def test_workers_that_do_not_know_a_task_leave_its_stages_alone(headway: Headway, installation: Installation):
    stages = [trial("try_inline", "return") | {"name": f"s{number}"} for number in range(40)]
    pipeline = await headway.run(*stages)

    assert {stage.attempt for stage in pipeline.stages} == {1}
    assert len({stage.worker for stage in pipeline.stages}) == 1
    assert "stage.retrying" not in {event.type for event in await headway.history(pipeline.uuid)}


async def test_stages_that_nobody_can_run_wait_without_holding_up_others(headway: Headway, installation: Installation):
    late = installation.worker(task_modules="blocking")
    await installation.ready()
    late.program.terminate()
    await late.ended()
    waiting = await headway.submit(*(noop(f"s{number}") | {"task": "block"} for number in range(10)))

    others = await headway.run(noop("a"), noop("b", "a"), trial("try_inline", "return"))
    looked = await headway.get(waiting)
    installation.worker(task_modules="blocking")

    assert others.status == "completed"
    assert {(stage.status, stage.attempt) for stage in looked.stages} == {("queued", 0)}
    ended = await headway.ended(waiting)
    assert {(stage.status, stage.attempt) for stage in ended.stages} == {("completed", 1)}
