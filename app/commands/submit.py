"""``headway submit``: a pipeline file becomes a running pipeline."""

from typing import Annotated

from cyclopts import Parameter

from app.client import ApiError
from app.commands import exits
from app.commands.calls import connect
from app.commands.follow import submitted
from app.commands.mistakes import asked, explain
from app.commands.spec_file import SpecFile, parse, read_text, with_params
from app.commands.terminal import OutputOption, print_json


async def submit(
    file: SpecFile,
    /,
    *,
    param: Annotated[tuple[str, ...], Parameter(name=["--param", "-p"])] = (),
    watch_it: Annotated[bool, Parameter(name="--watch")] = False,
    wait_for_it: Annotated[bool, Parameter(name="--wait")] = False,
    timeout: float | None = None,  # noqa: ASYNC109 - an option
    dry_run: bool = False,
    idempotency_key: str | None = None,
    output: OutputOption = "table",
) -> int:
    """Submit a pipeline and start it; prints its uuid.

    Args:
        file: YAML or JSON, the body of POST /api/v1/pipelines; "-" reads stdin.
        param: stage.param=value sets a param of a stage, the value written as in YAML; may be repeated.
        watch_it: Show it until it has ended; the exit code is 0 completed, 1 failed, 3 cancelled.
        wait_for_it: The same, in silence.
        timeout: Seconds to watch or wait for; then the exit code is 124 and the pipeline runs on.
        dry_run: Validate only; nothing is stored.
        idempotency_key: Under the same key the pipeline is submitted once, for 24 hours.
        output: "json" prints JSON, and with --watch one event per line.

    """
    text = read_text(file)
    spec = with_params(parse(text, file), param)
    async with connect() as client:
        try:
            if dry_run:
                print_json(await client.pipelines.check(spec))
                return exits.COMPLETED
            pipeline = await client.pipelines.create({**spec, "start": True}, idempotency_key=idempotency_key)
        except ApiError as refusal:
            if not refusal.faults:
                raise
            return explain(file, text, await asked(client, spec) or list(refusal.faults))
        return await submitted(client, pipeline, output, watch_it=watch_it, wait_for_it=wait_for_it, timeout_s=timeout)
