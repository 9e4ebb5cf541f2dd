"""Failures: why tasks fail, grouped by what they have in common."""

from datetime import datetime
from uuid import UUID

from app.client.http import Http
from schemas.diagnosis import Category
from schemas.failure import FailurePage
from schemas.limits import PAGE_DEFAULT

PATH = "/api/v1/failures"


class Failures:
    """``client.failures``."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def list(
        self,
        *,
        category: Category | None = None,
        task: str | None = None,
        pipeline: UUID | None = None,
        seen_after: datetime | None = None,
        seen_before: datetime | None = None,
        limit: int = PAGE_DEFAULT,
        cursor: str | None = None,
    ) -> FailurePage:
        """One page of kinds of failures, those seen last first; a kind may come again on a later page, for older ones.

        Points in time have a time zone.
        """
        query = {"category": category, "task": task, "pipeline": pipeline, "limit": limit, "cursor": cursor}
        window = {"seen_after": seen_after, "seen_before": seen_before}
        moments = {name: moment and moment.isoformat() for name, moment in window.items()}
        return await self._http.get(PATH, FailurePage, **query, **moments)
