"""Pipelines: submit them, look at them, watch them, and the verbs on one of them."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec

from app.client.http import Http
from app.client.stream import follow
from schemas.bulk import BulkAnswer, BulkRequest, BulkVerb
from schemas.event import Event
from schemas.graph import PipelineGraph
from schemas.limits import PAGE_DEFAULT
from schemas.pipeline import DryRun, Pipeline, PipelinePage, PipelinePatch, PipelineProgress
from schemas.states import PipelineStatus

PATH = "/api/v1/pipelines"


class Pipelines:
    """``client.pipelines``. All but ``check`` and ``list`` raise ApiError 404 for a pipeline that is not there."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def create(self, spec: Mapping[str, Any], *, idempotency_key: str | None = None) -> Pipeline:
        """Store a pipeline, and start it if ``spec`` says so; ``spec`` is the body as the API documents it.

        An answer that is lost is asked for again under the same key, so the pipeline is created once.
        """
        return await self._http.create(PATH, spec, Pipeline, key=idempotency_key or str(uuid4()))

    async def check(self, spec: Mapping[str, Any]) -> DryRun:
        """Validate a pipeline without storing it; the answer is its plan."""
        return await self._http.send("POST", PATH, DryRun, spec, dry_run=True)

    async def list(
        self,
        *,
        status: tuple[PipelineStatus, ...] = (),
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        created_after: datetime | None = None,
        limit: int = PAGE_DEFAULT,
        cursor: str | None = None,
        sort: str | None = None,
    ) -> PipelinePage:
        """One page of pipelines, the newest first; a page may be short before the last one."""
        return await self._http.get(
            PATH,
            PipelinePage,
            status=status,
            name=name,
            label=[f"{key}:{value}" for key, value in (labels or {}).items()],
            created_after=created_after.isoformat() if created_after else None,
            limit=limit,
            cursor=cursor,
            sort=sort,
        )

    async def get(self, uuid: UUID) -> Pipeline:
        """Everything about one pipeline."""
        return await self._http.get(f"{PATH}/{uuid}", Pipeline)

    async def status(self, uuid: UUID) -> PipelineProgress:
        """The light answer: status, counts and progress."""
        return await self._http.get(f"{PATH}/{uuid}/status", PipelineProgress)

    async def graph(self, uuid: UUID) -> PipelineGraph:
        """Nodes, edges and levels."""
        return await self._http.get(f"{PATH}/{uuid}/graph", PipelineGraph)

    async def patch(self, uuid: UUID, patch: PipelinePatch) -> Pipeline:
        """Change what ``patch`` names."""
        return await self._http.send("PATCH", f"{PATH}/{uuid}", Pipeline, patch)

    async def start(self, uuid: UUID) -> Pipeline:
        """Release the stages that wait for nothing; ApiError 409 if it was started before."""
        return await self._verb(uuid, "start")

    async def cancel(self, uuid: UUID) -> Pipeline:
        """Ask for it to be cancelled; the answer may still say ``cancelling``. ApiError 409 if it has ended."""
        return await self._verb(uuid, "cancel")

    async def retry(self, uuid: UUID) -> Pipeline:
        """Go on where it failed or was cancelled; ApiError 409 unless it has ended so."""
        return await self._verb(uuid, "retry")

    async def pause(self, uuid: UUID) -> Pipeline:
        """Start nothing more of it until a resume; ApiError 409 unless it is running."""
        return await self._verb(uuid, "pause")

    async def resume(self, uuid: UUID) -> Pipeline:
        """Start what has waited since the pause; ApiError 409 unless it is paused."""
        return await self._verb(uuid, "resume")

    async def act(self, verb: BulkVerb, request: BulkRequest, *, dry_run: bool = False) -> BulkAnswer:
        """Cancel, retry or delete all that ``request`` means, up to 1,000 a call; ``dry_run`` only says which."""
        return await self._http.send("POST", f"{PATH}/actions/{verb}", BulkAnswer, request, dry_run=dry_run)

    async def delete(self, uuid: UUID) -> None:
        """Remove it with its artifacts; ApiError 409 while it is under way."""
        await self._http.delete(f"{PATH}/{uuid}")

    async def watch(self, uuid: UUID, after: int = 0) -> AsyncGenerator[Event]:
        """Yield its events behind number ``after``, live ones included, until it has ended.

        Reconnects where the stream was cut, and misses no event that has an id. Raises as ``app.client.stream.follow``.
        """
        async with aclosing(follow(self._http, f"{PATH}/{uuid}/events", after=str(after))) as messages:
            async for message in messages:
                yield msgspec.json.decode(message.data, type=Event)

    async def _verb(self, uuid: UUID, verb: str) -> Pipeline:
        return await self._http.send("POST", f"{PATH}/{uuid}/{verb}", Pipeline)
