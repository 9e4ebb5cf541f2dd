"""``headway submit``: a pipeline file becomes a running pipeline."""

from typing import Annotated
from uuid import uuid4

from cyclopts import Parameter

from app.commands import exits
from app.commands.follow import detachable, wait, watch
from app.commands.running import open_client
from app.commands.spec_file import read_spec
from app.commands.terminal import Output, print_json, print_line
from app.settings import load_settings


async def submit(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    watch_it: Annotated[bool, Parameter(name="--watch")] = False,
    wait_for_it: Annotated[bool, Parameter(name="--wait")] = False,
    timeout: float | None = None,  # noqa: ASYNC109 - an option
    dry_run: bool = False,
    output: Annotated[Output, Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Submit a pipeline and start it; prints its uuid.

    Args:
        file: YAML or JSON, the body of POST /api/v1/pipelines; "-" reads stdin.
        watch_it: Show it until it has ended; the exit code is 0 completed, 1 failed, 3 cancelled.
        wait_for_it: The same, in silence.
        timeout: Seconds to watch or wait for; then the exit code is 124 and the pipeline runs on.
        dry_run: Validate only; nothing is stored.
        output: "json" prints JSON, and with --watch one event per line.

    """
    spec = read_spec(file)
    async with open_client(load_settings()) as client:
        if dry_run:
            print_json(await client.check(spec))
            return exits.COMPLETED
        pipeline = await client.create({**spec, "start": True}, idempotency_key=str(uuid4()))
        if output == "table":
            print_line(str(pipeline.uuid))
        elif not watch_it:
            print_json(pipeline)
        with detachable(pipeline.uuid):
            if watch_it:
                return await watch(client, pipeline.uuid, output, timeout)
            return await wait(client, pipeline.uuid, timeout) if wait_for_it else exits.COMPLETED
