"""Queues: what waits in them, and the verbs on one of them."""

from app.client.http import Http
from schemas.queue import QueuePage, QueueStatus

PATH = "/api/v1/queues"


class Queues:
    """``client.queues``. The verbs raise ApiError 404 for a queue that is not there; to repeat one is no error."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def list(self) -> QueuePage:
        """All queues, in the order in which workers serve them."""
        return await self._http.get(PATH, QueuePage)

    async def pause(self, name: str) -> QueueStatus:
        """Hold its tasks back; what runs goes on."""
        return await self._http.send("POST", f"{PATH}/{name}/pause", QueueStatus)

    async def resume(self, name: str) -> QueueStatus:
        """Let its tasks start again."""
        return await self._http.send("POST", f"{PATH}/{name}/resume", QueueStatus)
