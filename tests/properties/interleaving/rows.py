"""What Postgres says of some pipelines, all of it in one query."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct, json

from app.db.pool import Connection
from schemas.event import EventType
from schemas.states import Outcome, PipelineStatus, StageStatus
from tests.properties.simulation.model.records import Attempt, Event, Pipeline, Stage, StagePlan

EVERYTHING = """
SELECT json_build_object(
    'id', p.id, 'uuid', p.uuid, 'status', p.status, 'open_stages', p.open_stages, 'broken_stages', p.broken_stages,
    'last_seq', p.last_seq,
    'stages', (SELECT json_agg(json_build_array(
                          uuid, name, status, unmet, propagated, dispatch_token, attempt, failures, losses, lease_token,
                          worker_id, cancel_asked) ORDER BY position)
                 FROM stages WHERE pipeline_id = p.id),
    'attempts', (SELECT coalesce(json_agg(json_build_array(position, lease_token, outcome) ORDER BY attempt), '[]')
                   FROM attempts WHERE pipeline_id = p.id),
    'events', (SELECT coalesce(json_agg(json_build_array(seq, type, subject, data) ORDER BY seq), '[]')
                 FROM events WHERE pipeline_id = p.id AND seq > w.seq))::text
  FROM unnest($1::bigint[], $2::integer[]) AS w (id, seq) JOIN pipelines AS p ON p.id = w.id"""
REMAINS = """
SELECT count(*) FROM unnest(ARRAY[$1::bigint]) AS gone WHERE EXISTS (
    SELECT FROM stages WHERE pipeline_id = gone
    UNION ALL SELECT FROM attempts WHERE pipeline_id = gone
    UNION ALL SELECT FROM events WHERE pipeline_id = gone
    UNION ALL SELECT FROM dependencies WHERE pipeline_id = gone)"""


class StageRow(Struct, array_like=True):
    """Of ``stages``."""

    uuid: UUID
    name: str
    status: StageStatus
    unmet: int
    propagated: bool
    dispatch_token: int
    attempt: int
    failures: int
    losses: int
    lease_token: UUID | None
    worker: UUID | None
    cancel_asked: bool


class Rows(Struct):
    """Of one pipeline; its events are those behind the number that was asked for."""

    id: int
    uuid: UUID
    status: PipelineStatus
    open_stages: int
    broken_stages: int
    last_seq: int
    stages: list[StageRow]
    attempts: list[tuple[int, UUID, Outcome | None]]
    events: list[tuple[int, EventType, str | None, dict[str, Any]]]

    def as_pipeline(self, plans: Sequence[StagePlan]) -> Pipeline:
        """The same in the words of the simulator, whose witness counts it again."""
        pipeline = Pipeline([self._as_stage(position, plan) for position, plan in enumerate(plans)])
        for name in ("status", "open_stages", "broken_stages", "last_seq"):
            setattr(pipeline, name, getattr(self, name))
        for position, lease_token, outcome in self.attempts:
            attempt = Attempt(lease_token.int, 0)
            attempt.outcome = outcome
            pipeline.stages[position].attempts.append(attempt)
        return pipeline

    def _as_stage(self, position: int, plan: StagePlan) -> Stage:
        stage, row = Stage(position, plan), self.stages[position]
        for name in ("status", "unmet", "propagated", "dispatch_token", "attempt", "failures", "losses", "lease_token"):
            setattr(stage, name, getattr(row, name))
        return stage

    def news(self) -> list[Event]:
        """Its events, with stages by their positions."""
        positions = {None: None, **{row.name: position for position, row in enumerate(self.stages)}}
        return [
            Event(
                seq, type_, positions[subject], data.get("attempt", 0), _outcome(type_, data), _retried(data, positions)
            )
            for seq, type_, subject, data in self.events
        ]


def _retried(data: dict[str, Any], positions: dict[str | None, int | None]) -> tuple[int, ...]:
    return tuple(positions[name] for name in data["stages"]) if data.get("retry") else ()


def _outcome(type_: EventType, data: dict[str, Any]) -> Outcome | None:
    if type_ is EventType.STAGE_COMPLETED:
        return Outcome.COMPLETED
    return Outcome(data["outcome"]) if data.get("outcome") else None


async def read(c: Connection, seqs: dict[int, int]) -> dict[int, Rows]:
    """Pipelines by id, each with its events behind a number; those that are gone are missing."""
    found = await c.fetch(EVERYTHING, list(seqs), list(seqs.values()))
    return {rows.id: rows for rows in (json.decode(row[0], type=Rows) for row in found)}


async def remains(c: Connection, pipeline: int) -> bool:
    """Whether a deleted pipeline has left anything behind."""
    return bool(await c.fetchval(REMAINS, pipeline))
