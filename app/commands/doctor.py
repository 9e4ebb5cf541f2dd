"""``headway doctor``: checks everything that a pipeline needs, and says what to do about what is missing."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from msgspec import Struct
from rich.table import Table
from rich.text import Text

from app.commands import exits
from app.commands.running import read
from app.commands.terminal import Output, console, print_json
from app.errors import SetupError
from app.log import mask_passwords
from app.settings import load_settings

CLOCK_DIFFERENCE_MAX_S = 1.0
FREE_BYTES_MIN = 1024**3
_STYLE = {"ok": "green", "warn": "yellow", "fail": "bold red"}


class Report(Struct):
    """The whole answer; ``ok`` unless something fails."""

    ok: bool
    checks: list[Check]
    urls: dict[str, str]
    pids: dict[str, int]


async def doctor(
    *, data_dir: Path | None = None, output: Annotated[Output, Parameter(name=["--output", "-o"])] = "table"
) -> int:
    """Check everything, and say what to do; the exit code is 0 if nothing fails, else 1.

    Args:
        data_dir: Of the 'headway up' to look at; HEADWAY_DATA_DIR, default ./.headway.
        output: "json" also tells URLs and process ids.

    """
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
        return Report(
            ok=False, checks=[_python(), Check("settings", "fail", error.detail, "Correct them.")], urls={}, pids={}
        )
    running = read(settings.data_dir)
    urls = _urls(settings, running)
    checks = [_python(), Check("settings", "ok", "all valid"), _data_dir(settings), _up(settings, running)]
    checks += [check async for check in _servers(urls)]
    checks.append(await _api(settings))
    shown = {"api": _api_url(settings, running)} | {name: mask_passwords(url) for name, url in urls.items()}
    return Report(
        ok=all(check.status != "fail" for check in checks),
        checks=checks,
        urls=shown,
        pids=running.pids if running else {},
    )


def _table(report: Report) -> Table:
    table = Table("", "check", "detail", "what to do", box=None, pad_edge=False)
    for check in report.checks:
        table.add_row(
            Text(check.status, style=_STYLE[check.status]), check.name, Text(check.detail), Text(check.advice)
        )
    return table
