"""The OpenAPI 3.1 document: paths and parameters as the framework sees them, bodies as msgspec decodes them.

The framework's schemas of our Structs leave out limits and refused fields, and its own error bodies are not ours, so
both are replaced. ``tests/api`` holds the result against the specification and against the running API.
"""

from typing import Any

import msgspec
from litestar import Litestar, Request, Response, Router
from litestar.exceptions import NotFoundException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from app import __version__
from app.api import examples, examples_by_the_clock
from app.api.health import Readiness
from app.api.problems import MEDIA_TYPE
from schemas.bulk import BulkAnswer, BulkRequest
from schemas.checkpoint import Checkpoint, CheckpointPage
from schemas.diagnosis import Category
from schemas.failure import FailurePage
from schemas.graph import PipelineGraph
from schemas.periodic import PeriodicTaskPage
from schemas.pipeline import DryRun, Pipeline, PipelinePage, PipelinePatch, PipelineProgress, PipelineSpec
from schemas.problem import Problem
from schemas.queue import QueuePage, QueueStatus
from schemas.schedule import Schedule, SchedulePage, SchedulePatch, ScheduleSpec
from schemas.series import SeriesPage
from schemas.stats import StatsOverview
from schemas.task import Purged, PurgeSpec, Task, TaskPage, TaskResult, TaskSpec, TaskTypePage
from schemas.template import Submission, Template, TemplatePage, TemplateSpec
from schemas.worker import WorkerPage

STRUCTS = (
    PipelineSpec,
    PipelinePatch,
    Pipeline,
    PipelinePage,
    PipelineProgress,
    PipelineGraph,
    BulkRequest,
    BulkAnswer,
    DryRun,
    TaskSpec,
    PurgeSpec,
    Purged,
    Task,
    TaskPage,
    TaskResult,
    TaskTypePage,
    TemplateSpec,
    Submission,
    Template,
    TemplatePage,
    ScheduleSpec,
    SchedulePatch,
    Schedule,
    SchedulePage,
    SeriesPage,
    FailurePage,
    Category,
    Checkpoint,
    CheckpointPage,
    StatsOverview,
    QueueStatus,
    QueuePage,
    WorkerPage,
    PeriodicTaskPage,
    Readiness,
    Problem,
)
BODIES = {
    "createPipeline": ("PipelineSpec", examples.PIPELINE_SPEC),
    "patchPipeline": ("PipelinePatch", examples.PIPELINE_PATCH),
    "cancelPipelines": ("BulkRequest", examples.BULK_CANCEL),
    "retryPipelines": ("BulkRequest", examples.BULK_RETRY),
    "deletePipelines": ("BulkRequest", examples.BULK_DELETE),
    "submitTask": ("TaskSpec", examples.TASK_SPEC),
    "purgeTasks": ("PurgeSpec", examples.PURGE_SPEC),
    "createSchedule": ("ScheduleSpec", examples_by_the_clock.SCHEDULE_SPEC),
    "patchSchedule": ("SchedulePatch", examples_by_the_clock.SCHEDULE_PATCH),
    "createTemplate": ("TemplateSpec", examples_by_the_clock.TEMPLATE_SPEC),
    "submitTemplate": ("Submission", examples_by_the_clock.SUBMISSION),
}
ANSWERS = examples.ANSWERS | examples_by_the_clock.ANSWERS
OPEN = frozenset({"getLiveness", "getReadiness"})
SCHEMAS = "#/components/schemas/"
BEARER = "The value of HEADWAY_API_TOKEN. Without one the API serves its own machine only, and needs no token."


class _Document(JsonRenderPlugin):
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Render our own version of the document."""
        del openapi_schema
        return msgspec.json.encode(document(request.app))


async def _refuse_unknown(response: Response[Any]) -> Response[Any]:
    if response.status_code == NotFoundException.status_code:  # the framework's own page, in HTML
        raise NotFoundException
    return response


def config() -> OpenAPIConfig:
    """Serve the document at ``/schema`` and ``/schema/openapi.json``."""
    bearer = SecurityScheme(type="http", scheme="bearer", description=BEARER)
    return OpenAPIConfig(
        title="Headway",
        version=__version__,
        description="Runs the pipelines of a model-training platform.",
        use_handler_docstrings=True,
        components=Components(security_schemes={"bearer": bearer}),
        security=[{"bearer": []}],
        render_plugins=[_Document(path=["/", "/openapi.json"])],
        openapi_router=Router("/schema", route_handlers=[], include_in_schema=False, after_request=_refuse_unknown),
    )


def document(app: Litestar) -> dict[str, Any]:
    """Everything about the API, as plain values."""
    found = app.openapi_schema.to_schema()
    _, schemas = msgspec.json.schema_components(STRUCTS, ref_template=SCHEMAS + "{name}")
    found["components"]["schemas"] = _portable(schemas)
    found["components"]["responses"] = {
        "Problem": {
            "description": "A problem document (RFC 9457).",
            "content": {MEDIA_TYPE: {"schema": {"$ref": SCHEMAS + "Problem"}, "example": examples.PROBLEM}},
        },
    }
    for path in found["paths"].values():
        for operation in path.values():
            _complete(operation)
    return found


def _complete(operation: dict[str, Any]) -> None:
    name, answers = operation["operationId"], operation["responses"]
    answers.pop("400", None)
    success = next(iter(answers.values()))
    for content in success.get("content", {}).values():
        content["example"] = ANSWERS[name]
    for parameter in operation.get("parameters", []):
        parameter["schema"] = _without_null(parameter["schema"])
    answers["default"] = {"$ref": "#/components/responses/Problem"}
    if name in BODIES:
        struct, example = BODIES[name]
        content = {"schema": {"$ref": SCHEMAS + struct}, "example": example}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    if name in OPEN:
        operation["security"] = []


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """An optional parameter may be left out, but not be null."""
    kinds = [kind for kind in schema.pop("oneOf", []) if kind != {"type": "null"}]
    return schema | kinds[0] if kinds else schema


def _portable(schema: Any) -> Any:
    r"""Spell regular expressions for other languages: they do not know Python's ``\Z``, and their ``$`` means that."""
    match schema:
        case dict():
            return {key: _portable(value) for key, value in schema.items()}
        case list():
            return [_portable(value) for value in schema]
        case str():
            return schema.replace(r"\Z", "$")
        case _:
            return schema
