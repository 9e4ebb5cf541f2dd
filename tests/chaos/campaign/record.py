"""The record of a round: of each pipeline, what Postgres keeps, what its stream told and what its stages did."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from schemas.states import PIPELINE_TERMINAL
from tests.chaos.campaign import outside
from tests.chaos.campaign.listener import Listener
from tests.chaos.campaign.load import Job
from tests.chaos.campaign.outside import Said

PIPELINES = "SELECT uuid, name, status FROM pipelines WHERE name = ANY ($1) OR uuid = ANY ($2)"
STAGES = """
SELECT p.uuid, s.name, s.status, s.attempt, s.result, s.error
  FROM stages AS s JOIN pipelines AS p ON p.id = s.pipeline_id
 WHERE p.uuid = ANY ($1)"""
ATTEMPTS = """
SELECT p.uuid, s.name, a.attempt, a.outcome, a.started_at, a.finished_at, w.name AS worker
  FROM attempts AS a JOIN pipelines AS p ON p.id = a.pipeline_id
  JOIN stages AS s ON s.pipeline_id = a.pipeline_id AND s.position = a.position
  LEFT JOIN workers AS w ON w.id = a.worker_id
 WHERE p.uuid = ANY ($1) ORDER BY a.pipeline_id, a.position, a.attempt"""
EVENTS = """
SELECT p.uuid, e.seq, e.type, e.subject, e.data FROM events AS e JOIN pipelines AS p ON p.id = e.pipeline_id
 WHERE p.uuid = ANY ($1) ORDER BY e.pipeline_id, e.seq"""


class Stage(NamedTuple):
    """How a stage is."""

    status: str
    attempt: int
    result: dict[str, Any]
    error: dict[str, Any]

    @property
    def told(self) -> str:
        """For people."""
        return f"{self.status} {self.error.get('code', '')} {self.error.get('message', '')}".strip()


class Attempt(NamedTuple):
    """One start of a stage."""

    stage: str
    attempt: int
    outcome: str | None
    started_at: datetime
    finished_at: datetime | None
    worker: str | None


class Told(NamedTuple):
    """A durable event."""

    seq: int
    type: str
    stage: str | None
    data: dict[str, Any]


@dataclass
class Record:
    """A pipeline. Without a uuid it was never accepted; without a status it is not in Postgres.

    ``streamed`` are the numbers that its own stream told, if anybody followed it; ``heard`` those that each listener to
    all pipelines was told, by each of its connections.
    """

    key: str
    ends: set[str]
    act: str | None = None
    uuid: UUID | None = None
    creations: int = 1
    status: str | None = None
    witnessed: set[str] = field(default_factory=set)
    stages: dict[str, Stage] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    events: list[Told] = field(default_factory=list)
    streamed: list[int] | None = None
    heard: list[list[list[int]]] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)

    @property
    def ran_twice(self) -> int:
        """How many stages ran to their end more than once, which nobody can promise away."""
        ends = Counter(line.stage for line in self.said if line.word == "end")
        return sum(times > 1 for times in ends.values())

    @property
    def has_ended(self) -> bool:
        """Whether it is where nothing more happens."""
        return self.status in PIPELINE_TERMINAL


async def records(c: asyncpg.Connection, jobs: Sequence[Job], listeners: Sequence[Listener], log: Path) -> list[Record]:
    """Read them all."""
    uuids = [job.uuid for job in jobs if job.uuid]
    pipelines = await c.fetch(PIPELINES, [job.key for job in jobs], uuids)
    creations, statuses = Counter(row["name"] for row in pipelines), {row["uuid"]: row["status"] for row in pipelines}
    stages, attempts, events = [await _by_pipeline(c, query, uuids) for query in (STAGES, ATTEMPTS, EVENTS)]
    said: dict[str, list[Said]] = defaultdict(list)
    for line in outside.read(log):
        said[line.key].append(line)
    return [
        Record(
            key=job.key,
            ends=job.ends,
            act=job.act,
            uuid=job.uuid,
            creations=creations[job.key],
            status=statuses.get(job.uuid),
            witnessed=job.witnessed,
            stages={
                row["name"]: Stage(
                    row["status"], row["attempt"], *(json.loads(row[each] or "{}") for each in ("result", "error"))
                )
                for row in stages[job.uuid]
            },
            attempts=[Attempt(*list(row)[1:]) for row in attempts[job.uuid]],
            events=[Told(row["seq"], row["type"], row["subject"], json.loads(row["data"])) for row in events[job.uuid]],
            streamed=job.follower.seen if job.follower else None,
            heard=[listener.heard[job.uuid] for listener in listeners] if job.uuid else [],
            said=said[job.key],
        )
        for job in jobs
    ]


async def _by_pipeline(c: asyncpg.Connection, query: str, uuids: list[UUID]) -> dict[UUID | None, list[asyncpg.Record]]:
    found: dict[UUID | None, list[asyncpg.Record]] = defaultdict(list)
    for row in await c.fetch(query, uuids):
        found[row["uuid"]].append(row)
    return found
