"""The OpenAPI document is valid, complete, and tells the truth."""

import re
from pathlib import Path

import httpx2
import jsonschema_rs
import msgspec
import pytest
import yaml

from app.api import examples, examples_by_the_clock
from app.api.openapi import ANSWERS, STRUCTS, document
from app.asgi import create_app
from app.core.built_in_templates import TRAINING
from app.core.plan import plan
from app.core.single import plan_task
from app.core.template import plan_template, template_faults
from schemas.bulk import BulkAnswer, BulkRequest
from schemas.checkpoint import Checkpoint, CheckpointPage
from schemas.failure import FailurePage
from schemas.graph import PipelineGraph
from schemas.periodic import PeriodicTaskPage
from schemas.pipeline import Pipeline, PipelinePage, PipelinePatch, PipelineProgress, PipelineSpec
from schemas.queue import QueuePage, QueueStatus
from schemas.schedule import Schedule, SchedulePage, SchedulePatch, ScheduleSpec
from schemas.series import SeriesPage
from schemas.stats import StatsOverview
from schemas.task import Purged, Task, TaskPage, TaskResult, TaskSpec
from schemas.template import Submission, Template, TemplatePage, TemplateSpec
from schemas.worker import WorkerPage
from workers.tasks.built_in import BUILT_IN
from workers.tasks.registration import task_type

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))

DECODED = {
    "createPipeline": Pipeline,
    "getPipeline": Pipeline,
    "startPipeline": Pipeline,
    "patchPipeline": Pipeline,
    "cancelPipeline": Pipeline,
    "cancelPipelines": BulkAnswer,
    "retryPipelines": BulkAnswer,
    "deletePipelines": BulkAnswer,
    "retryPipeline": Pipeline,
    "pausePipeline": Pipeline,
    "resumePipeline": Pipeline,
    "listPipelines": PipelinePage,
    "getPipelineStatus": PipelineProgress,
    "listTasks": TaskPage,
    "getTask": Task,
    "listFailures": FailurePage,
    "submitTask": Task,
    "cancelTask": Task,
    "retryTask": Task,
    "purgeTasks": Purged,
    "getTaskResult": TaskResult,
    "listTaskMetrics": SeriesPage,
    "getPipelineGraph": PipelineGraph,
    "getStatsOverview": StatsOverview,
    "listCheckpoints": CheckpointPage,
    "pinCheckpoint": Checkpoint,
    "unpinCheckpoint": Checkpoint,
    "listQueues": QueuePage,
    "pauseQueue": QueueStatus,
    "resumeQueue": QueueStatus,
    "listWorkers": WorkerPage,
    "listPeriodicTasks": PeriodicTaskPage,
    "listTemplates": TemplatePage,
    "listSchedules": SchedulePage,
    "createSchedule": Schedule,
    "getSchedule": Schedule,
    "patchSchedule": Schedule,
    "createTemplate": Template,
    "getTemplate": Template,
    "submitTemplate": Pipeline,
}


@pytest.fixture
def contract(settings):
    return document(create_app(settings))


def operations(contract):
    return {operation["operationId"]: operation for path in contract["paths"].values() for operation in path.values()}


def references(value):
    match value:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for inner in value.values():
                yield from references(inner)
        case list():
            for inner in value:
                yield from references(inner)


async def test_the_document_is_served_at_both_addresses_and_is_openapi_3_1(client, contract):
    for path in ("/schema", "/schema/openapi.json"):
        assert (await client.get(path)).json() == msgspec.json.decode(msgspec.json.encode(contract))
    assert contract["openapi"].startswith("3.1")


def test_every_reference_leads_somewhere(contract):
    for reference in references(contract):
        place = contract
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    assert len(list(references(contract))) > 20


def test_every_schema_is_a_schema(contract):
    for name, schema in contract["components"]["schemas"].items():
        jsonschema_rs.meta.validate(schema)
        for pattern in re.findall(r"'pattern': '([^']*)'", str(schema)):
            assert r"\Z" not in pattern, name


def test_every_operation_has_an_id_a_sentence_an_example_and_says_how_it_fails(contract):
    for name, operation in operations(contract).items():
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/Problem"}, name
        assert "400" not in operation["responses"], name
        contents = next(iter(operation["responses"].values())).get("content", {})
        assert all("example" in content for content in contents.values()), name
        assert contents or name in {"deletePipeline", "deleteSchedule"}, name


def test_examples_are_what_they_stand_for(contract):
    msgspec.convert(examples.PIPELINE_SPEC, PipelineSpec)
    msgspec.convert(examples.PIPELINE_PATCH, PipelinePatch)
    msgspec.convert(examples_by_the_clock.TEMPLATE_SPEC, TemplateSpec)
    msgspec.convert(examples_by_the_clock.SUBMISSION, Submission)
    msgspec.convert(examples_by_the_clock.SCHEDULE_SPEC, ScheduleSpec)
    msgspec.convert(examples_by_the_clock.SCHEDULE_PATCH, SchedulePatch)
    for example in (examples.BULK_CANCEL, examples.BULK_RETRY, examples.BULK_DELETE):
        msgspec.convert(example, BulkRequest)
    for operation in operations(contract).values():
        for status, answer in operation["responses"].items():
            for media_type, content in answer.get("content", {}).items():
                if media_type == "application/json" and status != "default" and "example" in content:
                    schema = content["schema"] | {"components": contract["components"]}
                    jsonschema_rs.validate(schema, content["example"])
    for name, struct in DECODED.items():
        msgspec.convert(ANSWERS[name], struct)


def test_examples_are_what_the_built_in_tasks_take():
    task_types = {name: task_type(task) for name, task in BUILT_IN.items()}
    plan(msgspec.convert(examples.PIPELINE_SPEC, PipelineSpec), task_types, stages_max=10)
    plan_task(msgspec.convert(examples.TASK_SPEC, TaskSpec), task_types)
    plan_template(TRAINING, msgspec.convert(examples_by_the_clock.SUBMISSION, Submission), task_types, stages_max=10)
    assert template_faults(msgspec.convert(examples_by_the_clock.TEMPLATE_SPEC, TemplateSpec), task_types) == []
    for name in ("getPipeline", "createPipeline"):
        shown = {stage["name"]: stage["params"] for stage in examples.ANSWERS[name]["stages"]}
        assert shown == {stage["name"]: stage["params"] for stage in examples.PIPELINE_SPEC["stages"]}


@pytest.mark.parametrize("name", [path.name for path in EXAMPLES])
def test_the_example_files_are_what_the_built_in_tasks_take(name):
    task_types = {name: task_type(task) for name, task in BUILT_IN.items()}
    spec = yaml.safe_load((ROOT / "examples" / name).read_text())
    assert plan(msgspec.convert(spec, PipelineSpec), task_types, stages_max=10).stages


def test_bodies_and_answers_are_the_structs_that_decode_them(contract):
    schemas = contract["components"]["schemas"]
    assert {struct.__name__ for struct in STRUCTS} <= set(schemas)
    created = operations(contract)["createPipeline"]
    assert created["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/PipelineSpec")
    assert created["responses"]["201"]["content"]["application/json"]["schema"]["$ref"].endswith("/Pipeline")
    assert schemas["PipelineSpec"]["additionalProperties"] is False
    assert schemas["PipelineSpec"]["properties"]["priority"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 10,
        "default": 5,
    }


def test_parameters_are_the_known_ones_and_never_null(contract):
    parameters = {parameter["name"] for parameter in operations(contract)["listPipelines"]["parameters"]}
    assert parameters == {"status", "name", "label", "created_after", "cursor", "limit", "sort"}
    assert "null" not in str([operation.get("parameters") for operation in operations(contract).values()])


async def test_answers_match_their_schemas(client, submit, contract):
    pipeline = await submit(start=True)
    base = "/api/v1/pipelines"
    for operation, path in {
        "getPipeline": f"{base}/{pipeline['uuid']}",
        "getPipelineStatus": f"{base}/{pipeline['uuid']}/status",
        "getPipelineGraph": f"{base}/{pipeline['uuid']}/graph",
        "listPipelines": base,
        "listTasks": "/api/v1/tasks",
        "getTask": f"/api/v1/tasks/{pipeline['stages'][0]['task_id']}",
        "listTaskMetrics": f"/api/v1/tasks/{pipeline['stages'][0]['task_id']}/metrics",
        "listFailures": "/api/v1/failures",
        "getStatsOverview": "/api/v1/tasks/stats/overview",
        "listQueues": "/api/v1/queues",
        "listWorkers": "/api/v1/workers",
        "listPeriodicTasks": "/api/v1/periodic-tasks",
        "listTemplates": "/api/v1/templates",
        "listSchedules": "/api/v1/schedules",
        "getTemplate": "/api/v1/templates/training",
        "listTaskTypes": "/api/v1/task-types",
        "getLiveness": "/livez",
        "getReadiness": "/readyz",
    }.items():
        schema = operations(contract)[operation]["responses"]["200"]["content"]["application/json"]["schema"]
        answer = await client.get(path)
        jsonschema_rs.validate(schema | {"components": contract["components"]}, answer.json())
    problem = contract["components"]["responses"]["Problem"]["content"]["application/problem+json"]
    for body in (problem["example"], (await client.get("/nothing")).json()):
        jsonschema_rs.validate(problem["schema"] | {"components": contract["components"]}, body)


async def test_the_root_leads_to_the_page(client):
    answer = await client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


async def test_the_page_shows_every_operation_and_asks_nobody_else(client, contract):
    page = await client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    for path in contract["paths"]:
        assert path in page.text
    assert not re.search(r"<(script|link|img|iframe)|(src|href)=.?(https?:)?//|@import|url\(", page.text)
    assert isinstance(client, httpx2.AsyncClient)
