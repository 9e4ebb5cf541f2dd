"""``/api/v1/templates``: pipelines with params in them, and submitting one."""

from typing import Annotated, Any

from litestar import Request, Response, Router, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, QueryParameter

from app.api.body import read_json
from app.api.idempotency import REPLAYED, KeyHeader, create_once
from app.api.pipelines import dry_run_of
from app.api.state import ApiState
from app.core.plan import Plan
from app.services import pipelines, templates
from schemas import limits
from schemas.pipeline import DryRun, Pipeline
from schemas.template import Submission, Template, TemplatePage, TemplateSpec

VersionQuery = Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1, description="the newest unless given")]


@get("/", operation_id="listTemplates", summary="List templates")
async def list_templates(
    state: ApiState,
    *,
    cursor: Annotated[
        str | None, QueryParameter(max_length=limits.CURSOR_MAX, description="next_cursor of the page before")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=limits.PAGE_MAX)] = limits.PAGE_DEFAULT,
) -> TemplatePage:
    """The newest version of each, by name, those that come with Headway included."""
    return await templates.list_page(state.pool, cursor=cursor, limit=limit)


@post(
    "/",
    operation_id="createTemplate",
    summary="Store a template",
    responses={200: ResponseSpec(Template, description="The newest version is the same already; nothing was stored.")},
)
async def create_template(request: Request[Any, Any, Any], state: ApiState) -> Response[Template]:
    """Store the first or the next version of a template; a version is never changed."""
    template, is_new = await templates.create(state.pool, await read_json(request, TemplateSpec))
    headers = {"Location": f"/api/v1/templates/{template.name}?version={template.version}"}
    return Response(template, headers=headers, status_code=201 if is_new else 200)


@get("/{name:str}", operation_id="getTemplate", summary="Look at a template")
async def get_template(state: ApiState, name: FromPath[str], *, version: VersionQuery = None) -> Template:
    """One version of a template: the schema of its params, and its pipeline."""
    return await templates.get(state.pool, name, version)


@post(
    "/{name:str}/pipelines",
    operation_id="submitTemplate",
    summary="Submit a pipeline from a template",
    responses={200: ResponseSpec(DryRun, description="Valid; nothing was stored (dry_run=true).")},
)
async def submit_template(
    request: Request[Any, Any, Any],
    state: ApiState,
    name: FromPath[str],
    *,
    dry_run: FromQuery[bool] = False,
    idempotency_key: KeyHeader = None,  # noqa: ARG001 - for the document; create_once reads it
) -> Response[Pipeline]:
    """Store the pipeline that a template and params make, and start it unless the body says ``"start": false``.

    Where the template gives the pipeline its uuid (``job_uuid`` of ``training``), submitting the same one again is
    answered with the pipeline that is there, whatever the other params are.
    """
    submission = await read_json(request, Submission)

    async def planned() -> Plan:
        return await templates.planned(state.pool, name, submission, stages_max=state.settings.stages_max)

    if dry_run:
        return dry_run_of(await planned())
    created = await create_once(request, state, planned)
    headers = {"Location": f"/api/v1/pipelines/{created.pipeline}", **(REPLAYED if created.replayed else {})}
    return Response(await pipelines.get(state.pool, created.pipeline), headers=headers)


router = Router(
    "/api/v1/templates",
    route_handlers=[list_templates, create_template, get_template, submit_template],
    tags=["templates"],
)
