"""``/api/v1/tasks/stats/overview``: the whole installation at a glance."""

from litestar import get

from app.api.state import ApiState
from app.services import stats
from schemas.stats import StatsOverview


@get("/stats/overview", operation_id="getStatsOverview", summary="Look at everything at once")
async def get_stats_overview(state: ApiState) -> StatsOverview:
    """Counts by status, queue and task; queues, workers and slots; what ended in the last hour and how long it took.

    How many have ended is counted as they end: a stage that is retried ends again, and deleting a pipeline takes
    nothing away. It costs the same however long the history is.
    """
    return await stats.overview(state.pool)
