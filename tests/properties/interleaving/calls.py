"""The verbs as things that can be written down, sent by any connection, and sent again.

Each is one call of ``app.db``, so exactly the SQL that the services send.
"""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from app.core.plan import Plan
from app.db import pipelines, stages, workers
from app.db.pool import Connection
from app.services.pipelines import rows, uuid7
from schemas.stage import ClaimRequest, Completion, Held, Serves

WHOLE = 500
"""A release batch that no pipeline here is too large for."""
PIPELINES_MAX, DEPENDENTS_MAX = 2, 4
"""What is followed up at once: less than by a worker, so that small pipelines are too much at times."""


@dataclass(frozen=True)
class Create:
    """A client submits a pipeline; ``spec`` and ``edges`` are the plan in the words of ``app.db``."""

    plan: Plan
    spec: dict[str, Any]
    edges: list[tuple[int, int]]

    @classmethod
    def of(cls, plan: Plan) -> "Create":
        """With new uuids."""
        return cls(plan, *rows(plan, uuid7(), "default"))

    async def send(self, c: Connection) -> Any:
        return await pipelines.create(c, self.spec, self.edges)


@dataclass(frozen=True)
class Ask:
    """A client asks something of one pipeline: ``verb`` is start, cancel, pause, resume or retry."""

    verb: str
    uuid: UUID

    async def send(self, c: Connection) -> Any:
        return await getattr(pipelines, self.verb)(c, self.uuid)


@dataclass(frozen=True)
class AskOfStage:
    """A client asks to cancel or to retry one stage of a pipeline."""

    verb: str
    uuid: UUID
    stage: UUID

    async def send(self, c: Connection) -> Any:
        if self.verb == "retry":
            return await pipelines.retry(c, self.uuid, self.stage)
        return await stages.cancel(c, self.stage)


@dataclass(frozen=True)
class Purge:
    """A client cancels what is queued in some pipelines."""

    ids: tuple[int, ...]
    wait: bool = False

    async def send(self, c: Connection) -> Any:
        return await stages.purge(c, self.ids, None, wait=self.wait)


@dataclass(frozen=True)
class Delete:
    """A client deletes a pipeline."""

    uuid: UUID

    async def send(self, c: Connection) -> Any:
        return await pipelines.delete(c, self.uuid)


@dataclass(frozen=True)
class Claim:
    """A worker asks for stages."""

    worker: UUID
    requests: tuple[ClaimRequest, ...]
    wait: bool = False

    def stages(self) -> list[UUID]:
        """What it is about."""
        return [request.stage for request in self.requests]

    async def send(self, c: Connection) -> Any:
        return await stages.claim(c, self.worker, self.requests, wait=self.wait)


@dataclass(frozen=True)
class Complete:
    """A worker, or the rescuer, says how attempts ended."""

    completions: tuple[Completion, ...]
    wait: bool = False

    def stages(self) -> list[UUID]:
        """What it is about."""
        return [said.stage for said in self.completions]

    async def send(self, c: Connection) -> Any:
        return await stages.complete(c, self.completions, wait=self.wait)


@dataclass(frozen=True)
class CompleteToWorker(Complete):
    """The same, with what it makes possible, if that is little; the worker begins of it what it serves."""

    worker: UUID = field(kw_only=True)
    serves: Serves = field(kw_only=True)

    async def send(self, c: Connection) -> Any:
        most = PIPELINES_MAX, DEPENDENTS_MAX
        return await stages.complete_to_worker(c, self.completions, self.worker, self.serves, most=most)


@dataclass(frozen=True)
class Release:
    """A scheduler follows up what has ended."""

    ids: tuple[int, ...]
    batch: int = WHOLE
    wait: bool = False

    async def send(self, c: Connection) -> Any:
        return await stages.release(c, self.ids, batch=self.batch, wait=self.wait)


@dataclass(frozen=True)
class Beat:
    """A worker renews its lease; one of no seconds has run out before the next call."""

    worker: UUID
    held: tuple[Held, ...]
    lease_s: float

    async def send(self, c: Connection) -> Any:
        return await workers.beat(c, self.worker, self.lease_s, self.held)


@dataclass(frozen=True)
class Leave:
    """A worker is draining, or has stopped."""

    worker: UUID
    state: str

    async def send(self, c: Connection) -> Any:
        return await workers.leave(c, self.worker, self.state)


@dataclass(frozen=True)
class Expire:
    """A scheduler takes the leases that have run out."""

    async def send(self, c: Connection) -> Any:
        return await workers.expire(c)


Call = Create | Ask | AskOfStage | Purge | Delete | Claim | Complete | Release | Beat | Leave | Expire
