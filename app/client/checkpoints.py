"""Checkpoints: what trainings have saved, and keeping it."""

from uuid import UUID

from app.client.http import Http
from schemas.checkpoint import Checkpoint, CheckpointPage
from schemas.limits import PAGE_DEFAULT
from schemas.states import CheckpointState

PATH = "/api/v1/checkpoints"


class Checkpoints:
    """``client.checkpoints``. The verbs raise ApiError 404 for a checkpoint that is not there."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def list(
        self,
        *,
        pipeline: UUID | None = None,
        task_id: UUID | None = None,
        stage: str | None = None,
        state: tuple[CheckpointState, ...] = (),
        limit: int = PAGE_DEFAULT,
        cursor: str | None = None,
    ) -> CheckpointPage:
        """One page of checkpoints, newest first."""
        query = {"pipeline": pipeline, "task_id": task_id, "stage": stage, "state": state}
        return await self._http.get(PATH, CheckpointPage, **query, limit=limit, cursor=cursor)

    async def pin(self, number: int) -> Checkpoint:
        """Keep it whatever the rules say; ApiError 409 if it is being deleted or gone."""
        return await self._http.send("POST", f"{PATH}/{number}/pin", Checkpoint)

    async def unpin(self, number: int) -> Checkpoint:
        """Let the rules decide about it again."""
        return await self._http.send("POST", f"{PATH}/{number}/unpin", Checkpoint)
