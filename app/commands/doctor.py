"""``headway doctor``: checks everything that a pipeline needs, and says what to do about what is missing."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from msgspec import Struct
from rich.table import Table
from rich.text import Text

from app import log
from app.commands import checks, exits
from app.commands.checks import Check
from app.commands.running import DataDir, Running, address, read
from app.commands.terminal import Output, clean, console, print_json
from app.errors import SetupError
from app.log import mask_passwords
from app.settings import Settings, load_settings

_STYLE = {"ok": "green", "warn": "yellow", "fail": "bold red"}


class Report(Struct):
    """The whole answer; ``ok`` unless something fails."""

    ok: bool
    checks: list[Check]
    urls: dict[str, str]
    pids: dict[str, int]


async def doctor(
    *,
    data_dir: DataDir = None,
    output: Annotated[Output, Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Check everything, and say what to do; the exit code is 0 if nothing fails, else 1.

    Args:
        data_dir: Of the 'headway up' to look at; HEADWAY_DATA_DIR, default ./.headway.
        output: "json" also tells URLs and process ids.

    """
    log.configure(None, "critical")  # what libraries say of a server that is away, the checks say better
    report = await examine(data_dir)
    if output == "json":
        print_json(report)
    else:
        console().print(_table(report))
    return exits.COMPLETED if report.ok else exits.FAILED


async def examine(data_dir: Path | None) -> Report:
    """Look at everything, one after the other."""
    try:
        settings = load_settings(data_dir=data_dir)
    except SetupError as error:
        bad = Check("settings", "fail", error.detail, "Correct them.")
        return Report(ok=False, checks=[checks.python(), bad], urls={}, pids={})
    try:
        running, up = read(settings.data_dir), None
    except SetupError as error:
        running, up = None, Check("up", "fail", error.detail, "Correct HEADWAY_DATA_DIR.")
    urls = _urls(settings, running)
    found = [checks.python(), Check("settings", "ok", "all valid")]
    found += [checks.data_dir(settings), checks.tasks(settings), up or checks.up(settings, running)]
    found += [check async for check in checks.servers(urls, settings)]
    found.append(await checks.api(settings))
    api = settings.url or (running.url if running else address(settings.host, settings.port))
    return Report(
        ok=all(check.status != "fail" for check in found),
        checks=found,
        urls={"api": api} | {name: mask_passwords(url) for name, url in urls.items()},
        pids=running.pids if running else {},
    )


def _urls(settings: Settings, running: Running | None) -> dict[str, str]:
    """Return where the servers are: as the settings say, else as ``up`` says."""
    found = {}
    for name in ("database", "redis"):
        if given := getattr(settings, f"{name}_url"):
            found[name] = given.get_secret_value()
        elif running:
            found[name] = getattr(running, f"{name}_url")
    return found


def _table(report: Report) -> Table:
    table = Table("", "check", "detail", "what to do", box=None, pad_edge=False)
    for check in report.checks:
        mark = Text(check.status, style=_STYLE[check.status])
        table.add_row(mark, check.name, Text(clean(check.detail)), Text(check.advice))
    return table
