"""Statistics over all pipelines: rolled up by a duty of the scheduler, put together for whoever looks."""

from collections import Counter, defaultdict

from app.db import queues as db_queues
from app.db import stats as db
from app.db import workers as db_workers
from app.db.pool import Pool, connection
from schemas.queue import QUEUES_BY_PRIORITY, Queue
from schemas.states import StageStatus
from schemas.stats import Counted, StatsOverview

COUNTED_AT_ONCE = 5_000


async def count_ends(pool: Pool) -> Counted:
    """Count some of the stages that have ended since the last time, each exactly once."""
    async with connection(pool) as c:
        return await db.count_ends(c, COUNTED_AT_ONCE)


async def overview(pool: Pool, project: str = "default") -> StatsOverview:
    """The whole installation at a glance."""
    async with connection(pool) as c:
        counts = await db.counts(c, project)
        queues = await db_queues.statuses(c)
        fleet = await db_workers.fleet(c)
        last_hour = await db.last_hour(c, project)
        counted_at = await db.counted_at(c)
    by_status: Counter[StageStatus] = Counter()
    by_queue: dict[Queue, Counter[StageStatus]] = {queue: Counter() for queue in QUEUES_BY_PRIORITY}
    by_task: dict[str, Counter[StageStatus]] = defaultdict(Counter)
    for status, queue, task, count in counts:
        for counter in (by_status, by_queue[queue], by_task[task]):
            counter[status] += count
    return StatsOverview(
        by_status={status: by_status[status] for status in StageStatus},
        by_queue={queue: dict(counter) for queue, counter in by_queue.items()},
        by_task={task: dict(by_task[task]) for task in sorted(by_task)},
        queues=queues,
        workers={"live": fleet.live, "draining": fleet.draining},
        slots=fleet.slots,
        last_hour=last_hour,
        counted_at=counted_at,
    )
