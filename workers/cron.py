"""Periodic tasks: what Celery's Beat did, by arq's cron in every worker.

arq only ticks here. Which slots are due, and whose each is, Postgres decides (``take_periodic_slots``): arq's own guard
is a job id in Redis, which runs a slot again after a FLUSHALL, or when one worker's clock is behind the others'.

To add a task, write ``async def it(room: Room) -> int`` (how much there was to do) and put it into ``PERIODIC``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from app.errors import Unavailable
from app.log import Outage
from app.services import diagnosis, pace, periodic, pruning, retention, schedules
from schemas.periodic import SlotOutcome, TakenSlot
from workers.room import Room

TICK_SECONDS = frozenset(range(0, 60, 10))
"""When every worker asks what is due: soon enough after each slot begins, by whatever clock."""
TELL_S = 60.0
"""How long a worker tries to tell how a run ended; then it is taken for lost."""
PAUSE_S = 1.0
DAY_S = 86_400.0
KEPT_S = 30 * DAY_S
log = structlog.get_logger()


@dataclass(frozen=True)
class Periodic:
    """A task for each multiple of ``interval_s``; a run that takes longer than ``timeout_s`` is given up."""

    name: str
    interval_s: int
    run: Callable[[Room], Awaitable[int]]
    timeout_s: float = 600.0


async def prune_slots(room: Room) -> int:
    """Forget what became of slots a month ago."""
    return await periodic.prune(room.pool, KEPT_S) + await schedules.prune(room.pool, KEPT_S)


async def prune_old_pipelines(room: Room) -> int:
    """Delete the pipelines that ended long ago, if the settings say so; and finish the deletes that have died."""
    settings = room.settings
    await pruning.remove_leftovers(room.pool, settings.data_dir)
    if settings.pipeline_retention_days is None:
        return 0
    older_than_s = settings.pipeline_retention_days * DAY_S
    return await pruning.prune(room.pool, settings.data_dir, older_than_s=older_than_s)


async def cleanup_old_checkpoints(room: Room) -> int:
    """Thin out the checkpoints of pipelines that ended long ago, as the settings say."""
    settings, rule = room.settings, retention.rule_of(room.settings)
    older_than_s = settings.checkpoint_retention_days * DAY_S
    retained = await retention.cleanup_old_checkpoints(
        room.pool, settings.data_dir, older_than_s=older_than_s, rule=rule
    )
    return retained.deleted


async def update_job_metrics(room: Room) -> int:
    """Count what runs and how fast."""
    return await pace.update_job_metrics(room.pool)


async def scan_failed_jobs(room: Room) -> int:
    """Diagnose again what older rules have diagnosed, or nobody yet."""
    return await diagnosis.scan_failed_jobs(room.pool, room.settings.data_dir)


PERIODIC: tuple[Periodic, ...] = (
    Periodic("prune_slots", 3_600, prune_slots),
    Periodic("prune_old_pipelines", 3_600, prune_old_pipelines, timeout_s=3_000.0),
    Periodic("scan_failed_jobs", 300, scan_failed_jobs, timeout_s=240.0),
    Periodic("cleanup_old_checkpoints", 3_600, cleanup_old_checkpoints, timeout_s=3_000.0),
    Periodic("update_job_metrics", 60, update_job_metrics, timeout_s=30.0),
)


class Clockwork:
    """The periodic tasks of one worker: asks for slots at each tick, and runs those that it gets."""

    def __init__(self, room: Room, tasks: Sequence[Periodic] = PERIODIC) -> None:
        self.room = room
        self.tasks = {task.name: task for task in tasks}
        self.running: set[asyncio.Task[None]] = set()
        self._outage = Outage(log, "periodic_tasks_wait_for_postgres")

    async def tick(self, ctx: dict[Any, Any], *_: Any, **__: Any) -> None:  # noqa: ARG002 - as arq calls it
        """Take what is due and begin it; arq calls this."""
        due = {task.name: (task.interval_s, task.timeout_s + TELL_S) for task in self.tasks.values()}
        try:
            taken = await periodic.take(self.room.pool, self.room.worker, due)
        except Unavailable as error:
            self._outage.note(error)
            return
        except Exception:  # the next tick may do better, and this worker has stages to run
            log.exception("tick_failed")
            return
        self._outage.end()
        for slot in taken:
            running = asyncio.create_task(self._run(slot))
            self.running.add(running)
            running.add_done_callback(self.running.discard)

    def cancel(self) -> None:
        """End what runs."""
        for running in self.running:
            running.cancel()

    async def stop(self) -> None:
        """End what runs, and say so; the worker leaves."""
        self.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)

    async def _run(self, taken: TakenSlot) -> None:
        task = self.tasks[taken.name]
        try:
            async with asyncio.timeout(task.timeout_s) as limit:
                done = await task.run(self.room)
        except asyncio.CancelledError:
            await self._finish(
                taken, SlotOutcome.CANCELLED, error=_error("drained", "The worker was stopped."), tell_s=1
            )
        except TimeoutError as error:
            over = limit.expired()
            message = f"It took longer than {task.timeout_s:g} s." if over else _words(error)
            outcome = SlotOutcome.TIMED_OUT if over else SlotOutcome.FAILED
            await self._finish(taken, outcome, error=_error("timeout", message))
        except Exception as error:
            log.exception("periodic_task_failed", task=taken.name, slot=taken.slot)
            await self._finish(taken, SlotOutcome.FAILED, error=_error("exception", _words(error)))
        else:
            await self._finish(taken, SlotOutcome.COMPLETED, done=done)

    async def _finish(self, taken: TakenSlot, outcome: SlotOutcome, tell_s: float = TELL_S, **told: Any) -> None:
        """Tell how it ended, through an outage of Postgres too."""
        outage = Outage(log, "periodic_outcome_waits_for_postgres")
        with suppress(TimeoutError):
            async with asyncio.timeout(tell_s):
                while True:
                    try:
                        await periodic.finish(self.room.pool, self.room.worker, taken, outcome, **told)
                    except Unavailable as error:
                        outage.note(error, task=taken.name)
                        await asyncio.sleep(PAUSE_S)
                    else:
                        return


def _error(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message}


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
