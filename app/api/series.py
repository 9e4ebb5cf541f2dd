"""``/api/v1/tasks/{task_id}/metrics``: what a task has measured, as series for charts."""

from typing import Annotated
from uuid import UUID

from litestar import get
from litestar.params import FromPath, QueryParameter

from app.api.state import ApiState
from app.services import series
from schemas import limits
from schemas.series import SeriesPage


@get("/{task_id:uuid}/metrics", operation_id="listTaskMetrics", summary="Read what a task has measured")
async def list_task_metrics(
    state: ApiState,
    task_id: FromPath[UUID],
    *,
    name: Annotated[list[str] | None, QueryParameter(description="only the metric of this name; repeatable")] = None,
    cursor: Annotated[str | None, QueryParameter(max_length=200, description="next_cursor of the page before")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=limits.PAGE_MAX)] = limits.PAGE_DEFAULT,
) -> SeriesPage:
    """The metrics that its attempts reported: a series for each name and attempt, of ``[step, value, Unix time]``.

    Of a long series only every 2nd, 4th, 8th … report is kept, so that it has at most 1,000 points, and the last one.
    """
    return await series.list_page(state.pool, task_id, names=name, cursor=cursor, limit=limit)
