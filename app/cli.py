"""The command line: which command lives where, and what its end means to a shell.

Commands are imported when they are called, so that ``headway --help`` is quick. Data goes to stdout, talk to stderr.
"""

import asyncio
import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Group, Parameter

from app import __version__
from app.commands import exits
from app.errors import HeadwayError

app = App(
    name="headway",
    help="Run the pipelines of a model-training platform.",
    help_epilogue="Settings come from HEADWAY_* environment variables or headway.toml.",
    version=__version__,
    default_parameter=Parameter(negative=()),
    print_error=False,
    exit_on_error=False,
    result_action="return_value",
)
_START = Group("Start", sort_key=1)
_PIPELINES = Group("Pipelines", sort_key=2)
_ROLES = Group("Process roles", sort_key=3)

app.command("app.commands.up:up", group=_START, help="Run everything here, until Ctrl-C.")
app.command("app.commands.demo:demo", group=_START, help="Train a model through a pipeline, and show how it goes.")
app.command("app.commands.doctor:doctor", group=_START, help="Check everything, and say what to do.")
app.command("app.commands.submit:submit", group=_PIPELINES, help="Submit a pipeline from a YAML or JSON file.")
app.command("app.commands.lint:lint", group=_PIPELINES, help="Show every mistake of a pipeline file.")
app.command("app.commands.pipelines:pipelines", group=_PIPELINES, help="Look at pipelines, and the verbs on them.")
app.command(
    "app.commands.tasks:tasks",
    group=_PIPELINES,
    help="Submit tasks, look at them and their logs, cancel, retry, purge.",
)
app.command("app.commands.failures:failures", group=_PIPELINES, help="List why tasks fail, and what to do about it.")
app.command("app.commands.checkpoints:checkpoints", group=_PIPELINES, help="List checkpoints; pin and unpin them.")
app.command(
    "app.commands.templates:templates", group=_PIPELINES, help="Pipelines with params: list, show, store, submit."
)
app.command(
    "app.commands.schedules:schedules",
    group=_PIPELINES,
    help="Submit pipelines by the clock: list, show, create, pause, resume, delete.",
)
app.command("app.commands.events:events", group=_PIPELINES, help="Print what happens to all pipelines.")
app.command("app.commands.queues:queues", group=_PIPELINES, help="List queues; pause and resume them.")
app.command("app.commands.workers:workers", group=_PIPELINES, help="List workers.")
app.command(
    "app.commands.task_types:task_types",
    name="task-types",
    group=_PIPELINES,
    help="List what workers can run; show the params of one.",
)
app.command(
    "app.commands.periodic_tasks:periodic_tasks",
    name="periodic-tasks",
    group=_PIPELINES,
    help="List what workers do by the clock: the last run, the next, what was missed.",
)
app.command("app.commands.roles:api", group=_ROLES, help="Serve the HTTP API.")
app.command("app.commands.roles:scheduler", group=_ROLES, help="Release and dispatch stages; several may run at once.")
app.command("app.commands.roles:worker", group=_ROLES, help="Run stages.")
app.command("app.commands.roles:migrate", group=_ROLES, help="Bring the database up to date.")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors have become one message on stderr."""
    try:
        code = app(arguments)
    except CycloptsError as error:
        return exits.say(f"{error}\nTry 'headway --help'.", exits.USAGE)
    except HeadwayError as error:
        return exits.explain(error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return exits.DETACHED
    except BrokenPipeError:
        # Whoever read our output has left; Python must not complain about that at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED
    return code if isinstance(code, int) else exits.COMPLETED


def main() -> None:
    """Entry point of the ``headway`` program."""
    sys.exit(run())


if __name__ == "__main__":
    main()
