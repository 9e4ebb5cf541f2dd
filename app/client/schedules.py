"""Schedules: store them, look at them, change, pause, resume and delete them."""

from collections.abc import Mapping
from typing import Any

from app.client.http import Http
from schemas.limits import PAGE_DEFAULT
from schemas.schedule import Schedule, SchedulePage

PATH = "/api/v1/schedules"


class Schedules:
    """``client.schedules``. What takes a name raises ApiError 404 when there is no such schedule."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def list(self, *, limit: int = PAGE_DEFAULT, cursor: str | None = None) -> SchedulePage:
        """One page of schedules, by name."""
        return await self._http.get(PATH, SchedulePage, limit=limit, cursor=cursor)

    async def get(self, name: str) -> Schedule:
        """Everything about one, with its newest slots."""
        return await self._http.get(f"{PATH}/{name}", Schedule)

    async def create(self, spec: Mapping[str, Any]) -> Schedule:
        """Store one; ``spec`` is the body as the API documents it. ApiError 409 if its name is taken."""
        return await self._http.send("POST", PATH, Schedule, spec)

    async def patch(self, name: str, change: Mapping[str, Any]) -> Schedule:
        """Change what ``change`` names."""
        return await self._http.send("PATCH", f"{PATH}/{name}", Schedule, change)

    async def pause(self, name: str) -> Schedule:
        """Fire nothing until a resume. Twice is no error."""
        return await self.patch(name, {"paused": True})

    async def resume(self, name: str) -> Schedule:
        """Fire again, from now on. Twice is no error."""
        return await self.patch(name, {"paused": False})

    async def delete(self, name: str) -> None:
        """Remove it; the pipelines that it has made stay."""
        await self._http.delete(f"{PATH}/{name}")
