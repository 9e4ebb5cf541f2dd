"""Pipelines: create, start, cancel, delete, and the ways to look at them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from app.db.pool import Connection, unless_taken
from app.db.queries import load
from schemas.graph import PipelineGraph
from schemas.pipeline import Pipeline, PipelineProgress
from schemas.stage import Transition

SQL = load("pipelines")


class Verdict(Transition, frozen=True, kw_only=True):
    """The answer to a verb on one pipeline: ``refused`` is the status that the verb does not fit."""

    refused: str | None = None


async def create(c: Connection, spec: Mapping[str, Any], edges: Sequence[tuple[int, int]]) -> Transition:
    """Store a pipeline; ``edges`` are pairs of positions (depends on, stage).

    Raises Taken when there is one under its uuid.
    """
    sources, targets = [source for source, _ in edges], [target for _, target in edges]
    with unless_taken():
        answer = await c.fetchval(SQL["create"], msgspec.json.encode(spec).decode(), sources, targets)
    return msgspec.json.decode(answer, type=Transition)


async def start(c: Connection, uuid: UUID) -> Verdict | None:
    """pending → running; None if there is no such pipeline."""
    return verdict(await c.fetchval(SQL["start"], uuid))


async def cancel(c: Connection, uuid: UUID) -> Verdict | None:
    """→ cancelling; None if there is no such pipeline."""
    return verdict(await c.fetchval(SQL["cancel"], uuid))


async def pause(c: Connection, uuid: UUID) -> Verdict | None:
    """running → paused; None if there is no such pipeline."""
    return verdict(await c.fetchval(SQL["pause"], uuid))


async def resume(c: Connection, uuid: UUID) -> Verdict | None:
    """paused → running; None if there is no such pipeline."""
    return verdict(await c.fetchval(SQL["resume"], uuid))


async def retry(c: Connection, uuid: UUID, only_stage: UUID | None = None) -> Verdict | None:
    """failed | cancelled → running, for all of it or one stage; None if there is no such pipeline."""
    return verdict(await c.fetchval(SQL["retry"], uuid, only_stage))


async def patch(c: Connection, uuid: UUID, changes: Mapping[str, Any]) -> Transition | None:
    """Change name, description, labels, priority; None if there is no such pipeline."""
    answer = await c.fetchval(SQL["patch"], uuid, msgspec.json.encode(changes).decode())
    return None if answer is None else msgspec.json.decode(answer, type=Transition)


async def delete(c: Connection, uuid: UUID) -> str | None:
    """Delete it if it is terminal or pending; return the status that it had, None if there is none."""
    status: str | None = await c.fetchval(SQL["delete"], uuid)
    return status


async def get(c: Connection, uuid: UUID) -> Pipeline | None:
    """Everything about one pipeline."""
    found = await c.fetchval(SQL["get"], uuid)
    return None if found is None else msgspec.json.decode(found, type=Pipeline)


async def progress(c: Connection, uuid: UUID) -> PipelineProgress | None:
    """The light answer."""
    found = await c.fetchval(SQL["progress"], uuid)
    return None if found is None else msgspec.json.decode(found, type=PipelineProgress)


async def graph(c: Connection, uuid: UUID) -> PipelineGraph | None:
    """Nodes and edges, without the levels."""
    found = await c.fetchval(SQL["graph"], uuid)
    return None if found is None else msgspec.json.decode(found, type=PipelineGraph)


def verdict(answer: str | None) -> Verdict | None:
    """Read the answer of a verb on one pipeline or stage."""
    return None if answer is None else msgspec.json.decode(answer, type=Verdict)
