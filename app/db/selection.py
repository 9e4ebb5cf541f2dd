"""Selections: pipelines by filter, a bounded step at a time."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.db.pool import Connection
from app.db.queries import load
from schemas.bulk import PipelineFilter
from schemas.pipeline import PipelineSummary
from schemas.states import PIPELINE_TERMINAL, PipelineStatus

T = TypeVar("T")
SQL = load("selection")
NEWEST_FIRST = {"order": "DESC", "beyond": "<", "far": "infinity", "far_id": str(2**63 - 1)}
OLDEST_FIRST = {"order": "ASC", "beyond": ">", "far": "-infinity", "far_id": "0"}


class Key(NamedTuple):
    """Where a pipeline stands in the order of age."""

    created_at: Annotated[datetime, Meta(tz=True)]
    id: Annotated[int, Meta(ge=0, le=2**63 - 1)]


def _uncommented(sql: str) -> str:
    return "\n".join(line for line in sql.splitlines() if not line.startswith("--"))


def _page(walk: str, direction: dict[str, str]) -> str:
    text = _uncommented(SQL["page"]).replace("{walk}", _uncommented(SQL[walk]))
    parts = {name: _uncommented(SQL[name]) for name in ("columns", "seek")}
    for name, words in {**parts, **direction}.items():
        text = text.replace(f"{{{name}}}", words)
    return text


PAGES = {
    (walk, newest_first): _page(walk, NEWEST_FIRST if newest_first else OLDEST_FIRST)
    for walk in ("by_age", "by_status", "by_uuid")
    for newest_first in (True, False)
}


async def page(
    c: Connection,
    project: str,
    wanted: PipelineFilter,
    *,
    behind: Key | None,
    newest_first: bool,
    steps: int,
    limit: int,
) -> tuple[list[tuple[PipelineSummary, Key]], Key | None]:
    """Look at the next ``steps`` pipelines; return up to ``limit`` that match, and where to go on unless at the end."""
    rows = await c.fetch(
        PAGES[_walk(wanted), newest_first],
        project,
        None if wanted.status is UNSET else list(set(wanted.status)),
        _given(wanted.uuids),
        _given(wanted.name),
        None if wanted.labels is UNSET else msgspec.json.encode(wanted.labels).decode(),
        _given(wanted.created_after),
        _given(wanted.created_before),
        *(behind or (None, None)),
        steps,
        limit,
    )
    keys = [Key(row["created_at"], row["id"]) for row in rows]
    found = [
        (msgspec.json.decode(row["summary"], type=PipelineSummary), key)
        for row, key in zip(rows, keys, strict=True)
        if row["summary"] is not None
    ]
    return found, keys[-1] if len(found) < len(rows) else None


async def statuses(c: Connection, project: str, uuids: Iterable[UUID]) -> dict[UUID, PipelineStatus]:
    """How these pipelines are; one that is not there is left out."""
    rows = await c.fetch(SQL["statuses"], project, list(uuids))
    return {row["uuid"]: PipelineStatus(row["status"]) for row in rows}


def _walk(wanted: PipelineFilter) -> str:
    """The walk that looks at the least: who wants all of history can as well walk by age, in one index."""
    if wanted.uuids is not UNSET:
        return "by_uuid"
    return "by_age" if wanted.status is UNSET or set(wanted.status) >= PIPELINE_TERMINAL else "by_status"


def _given(value: T | UnsetType) -> T | None:
    return None if value is UNSET else value
