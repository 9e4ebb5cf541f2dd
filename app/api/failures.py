"""``/api/v1/failures``: why tasks fail, grouped by what they have in common."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import get
from litestar.params import QueryParameter

from app.api.query import aware
from app.api.state import ApiState
from app.services import failures
from schemas import limits
from schemas.diagnosis import Category
from schemas.failure import FailurePage


@get("/api/v1/failures", operation_id="listFailures", summary="List why tasks fail", tags=["failures"])
async def list_failures(
    state: ApiState,
    *,
    category: Annotated[Category | None, QueryParameter(description="only those of this category")] = None,
    task: Annotated[str | None, QueryParameter(description="the name of a task type")] = None,
    pipeline: Annotated[UUID | None, QueryParameter(description="the uuid of a pipeline")] = None,
    seen_after: Annotated[datetime | None, QueryParameter(description="count only what failed since then")] = None,
    seen_before: Annotated[datetime | None, QueryParameter(description="count only what failed before then")] = None,
    cursor: Annotated[
        str | None, QueryParameter(max_length=limits.CURSOR_MAX, description="next_cursor of the page before")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=limits.PAGE_MAX)] = limits.PAGE_DEFAULT,
) -> FailurePage:
    """Failures of attempts by kind, those seen last first: how many there were, when, of which tasks, and what to do.

    They are counted in portions of 5,000, newest first. A kind that was seen in an older one too comes again with
    what is counted there. A page may be short, even empty; the last one is that without a next_cursor.
    """
    return await failures.list_page(
        state.pool,
        category=category,
        task=task,
        pipeline=pipeline,
        seen_after=aware("seen_after", seen_after),
        seen_before=aware("seen_before", seen_before),
        cursor=cursor,
        limit=limit,
    )
