"""``headway tasks submit``: run one task."""

from typing import Annotated, Any

from cyclopts import Parameter

from app.commands import exits
from app.commands.calls import assignments, connect
from app.commands.spec_file import yaml_value
from app.commands.task_end import end_of, waited
from app.commands.terminal import OutputOption, print_json, print_line
from schemas.queue import Queue


async def submit(
    task: str,
    /,
    *,
    param: Annotated[tuple[str, ...], Parameter(name=["--param", "-p"])] = (),
    queue: Queue | None = None,
    priority: int | None = None,
    name: str | None = None,
    label: tuple[str, ...] = (),
    max_retries: int | None = None,
    retry_delay: float | None = None,
    retry_backoff: float | None = None,
    run_timeout: float | None = None,
    queue_timeout: float | None = None,
    total_timeout: float | None = None,
    idempotency_key: str | None = None,
    wait: bool = False,
    timeout: float | None = None,  # noqa: ASYNC109 - an option
    output: OutputOption = "table",
) -> int:
    """Run one task; prints its task id.

    Args:
        task: The name of a task type.
        param: name=value, the value written as in YAML: 3, true, [1, 2], text; may be repeated.
        queue: Another queue than the task's own.
        priority: 1 to 10, 10 first; 5 unless given.
        name: Of its pipeline; the task's unless given.
        label: key=value; may be repeated.
        max_retries: How often it recovers from errors of its own.
        retry_delay: Seconds before the first retry; 60 unless given.
        retry_backoff: By how much each delay is longer than the one before; 1 unless given.
        run_timeout: Seconds that an attempt may take; a day unless given.
        queue_timeout: Seconds that it may wait for a worker each time.
        total_timeout: Seconds that all of it may take.
        idempotency_key: Under the same key the task is submitted once, for 24 hours.
        wait: Wait for its end; the exit code is 0 completed, 1 failed, 3 cancelled.
        timeout: Seconds to wait for; then the exit code is 124 and the task goes on.
        output: "json" prints the task, with --wait as it has ended.

    """
    params = {key: yaml_value(key, value) for key, value in assignments(param).items()}
    spec: dict[str, Any] = {"task": task, "params": params, "labels": assignments(label)}
    more = {
        "queue": queue,
        "priority": priority,
        "name": name,
        "max_retries": max_retries,
        "retry_delay": retry_delay,
        "retry_backoff": retry_backoff,
        "timeout": run_timeout,
        "queue_timeout": queue_timeout,
        "total_timeout": total_timeout,
    }
    spec |= {key: value for key, value in more.items() if value is not None}
    async with connect() as client:
        submitted = await client.tasks.submit(spec, idempotency_key=idempotency_key)
        if output == "table":
            print_line(str(submitted.task_id))
        if not wait:
            if output == "json":
                print_json(submitted)
            return exits.COMPLETED
        ended = await waited(client, submitted.task_id, timeout)
    if ended is None:
        return exits.TIMED_OUT
    if output == "json":
        print_json(ended)
    return end_of(ended.status, ended.error)
