"""``headway templates``: pipelines with params in them."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from app.client import ApiError
from app.commands import exits
from app.commands.calls import assignments, connect, enough, tell_more
from app.commands.follow import submitted
from app.commands.mistakes import explain
from app.commands.params import params_of, print_params
from app.commands.spec_file import SpecFile, parse, read_text
from app.commands.terminal import OutputOption, print_json, print_line, print_table
from app.commands.wording import age
from schemas.template import Template

templates = App(name="templates", help="List, show and store templates; submit pipelines from them.")


@templates.default
@templates.command(name="ls")
async def list_templates(*, limit: int = 50, cursor: str | None = None, output: OutputOption = "table") -> int:
    """List templates by name, each with its newest version."""
    async with connect() as client:
        page = await enough(lambda count, place: client.templates.list(limit=count, cursor=place), limit, cursor)
    if output == "json":
        print_json(page)
    else:
        rows = [
            (each.name, each.version, "built in" if each.built_in else age(each.created_at), each.description)
            for each in page.items
        ]
        print_table("template, version, age, description", rows, flexible="description")
        tell_more(page.next_cursor)
    return exits.COMPLETED


@templates.command
async def show(name: str, /, *, version: int | None = None, output: OutputOption = "table") -> int:
    """Show a template: its params and its stages.

    Args:
        name: Which one.
        version: Another version than the newest.
        output: "json" prints everything.

    """
    async with connect() as client:
        template = await client.templates.get(name, version)
    if output == "json":
        print_json(template)
    else:
        _draw(template)
    return exits.COMPLETED


@templates.command
async def create(file: SpecFile, /, *, output: OutputOption = "table") -> int:
    """Store the next version of a template, unless the newest one is the same; prints its name and version.

    Args:
        file: YAML or JSON, the body of POST /api/v1/templates; "-" reads stdin.
        output: "json" prints the template.

    """
    text = read_text(file)
    spec = parse(text, file)
    async with connect() as client:
        try:
            template = await client.templates.create(spec)
        except ApiError as refusal:
            if not refusal.faults:
                raise
            return explain(file, text, list(refusal.faults))
    if output == "json":
        print_json(template)
    else:
        print_line(f"{template.name} {template.version}")
    return exits.COMPLETED


@templates.command
async def submit(
    name: str,
    /,
    *,
    param: Annotated[tuple[str, ...], Parameter(name=["--param", "-p"])] = (),
    version: int | None = None,
    pipeline_name: Annotated[str | None, Parameter(name="--name")] = None,
    priority: int | None = None,
    label: tuple[str, ...] = (),
    watch_it: Annotated[bool, Parameter(name="--watch")] = False,
    wait_for_it: Annotated[bool, Parameter(name="--wait")] = False,
    timeout: float | None = None,  # noqa: ASYNC109 - an option
    dry_run: bool = False,
    idempotency_key: str | None = None,
    output: OutputOption = "table",
) -> int:
    """Submit a pipeline from a template and start it; prints its uuid.

    Args:
        name: Of the template.
        param: name=value, the value written as in YAML; config.epochs=3 sets one entry of an object; may be repeated.
        version: Another version than the newest.
        pipeline_name: Another name than the template gives to the pipeline.
        priority: 1 to 10, 10 first.
        label: key=value; may be repeated.
        watch_it: Show it until it has ended; the exit code is 0 completed, 1 failed, 3 cancelled.
        wait_for_it: The same, in silence.
        timeout: Seconds to watch or wait for; then the exit code is 124 and the pipeline runs on.
        dry_run: Validate only; nothing is stored.
        idempotency_key: Under the same key the pipeline is submitted once, for 24 hours.
        output: "json" prints JSON, and with --watch one event per line.

    """
    body: dict[str, Any] = {"params": params_of(param), "labels": assignments(label)}
    more = {"version": version, "name": pipeline_name, "priority": priority}
    body |= {key: value for key, value in more.items() if value is not None}
    async with connect() as client:
        if dry_run:
            print_json(await client.templates.check(name, body))
            return exits.COMPLETED
        pipeline = await client.templates.submit(name, body, idempotency_key=idempotency_key)
        return await submitted(client, pipeline, output, watch_it=watch_it, wait_for_it=wait_for_it, timeout_s=timeout)


def _draw(template: Template) -> None:
    print_line(f"{template.name} {template.version} {template.description}".strip())
    print_params(template.params_schema)
    stages = template.pipeline.get("stages")
    for stage in stages if isinstance(stages, list) else ():
        if isinstance(stage, dict):
            print_line(f"{stage.get('name')}: {stage.get('task')}")
