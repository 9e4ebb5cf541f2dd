"""The worker: arq's, with the parts replaced that our protocol needs otherwise.

From arq 0.28 it keeps the functions, the keys, the wire format, the cron and the context that a job gets. It replaces
the poll loop (by a wake-up and one atomic claim over several queues), the in-progress keys (by leases in Postgres),
retries, aborts and results (all in Postgres), the shutdown (by a drain), and the way of a tick through Redis.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any
from uuid import UUID, uuid4

import structlog
from arq.cron import cron
from arq.worker import Function, Worker, func

from app import __version__
from app.db.pool import open_pool
from app.errors import SetupError, Unavailable
from app.log import Outage
from app.queue import REDIS_AWAY, STAGE_FUNCTION, Job, JobQueue, open_redis, require_noeviction
from app.services import stages, tasks, workers
from app.settings import Settings
from schemas.queue import QUEUES_BY_PRIORITY, Queue, Slot
from schemas.stage import Beat, Claim, Claimed, ClaimRequest, Completion, Serves, Stranger
from schemas.states import Outcome
from schemas.task import BUILT_IN_TASKS
from workers import contract
from workers.completer import Completer
from workers.cron import TICK_SECONDS, Clockwork
from workers.data_dir import require_data_dir
from workers.lease import KILL_SHARE, Lease
from workers.plug_ins import known_tasks
from workers.room import Attempt, Room, Stop
from workers.slots import Offer, Slots
from workers.stage import StageRunner, drained
from workers.tasks.registration import task_type

WAIT_S = 1.0
OUTAGE_PAUSE_S = 0.5
OFFER_S = 1.0
NEVER_S = 10 * 365 * 86_400
EXIT_LEASE_LOST = 1
log = structlog.get_logger()


class HeadwayWorker(Worker):
    """Serves its queues with two kinds of slots until it is drained or loses its lease."""

    def __init__(self, room: Room, waiting: JobQueue, queues: Sequence[Queue]) -> None:
        self.room = room
        self.waiting = waiting
        self.queues = queues
        self.plug_ins = [name for name in room.tasks if name not in BUILT_IN_TASKS]
        self.runner = StageRunner(room, Completer(room))
        self.clockwork = Clockwork(room)
        self.slots = {
            Slot.PROCESS: Slots(room.settings.worker_concurrency),
            Slot.INLINE: Slots(room.settings.worker_inline_concurrency),
        }
        room.offering = self.offering
        self.draining = asyncio.Event()
        self.asking: set[UUID] = set()  # lease tokens of claims that have not been answered
        self.leased = asyncio.Event()  # not set while in doubt: what it popped now it could not claim
        self.leased.set()
        self.no_offer = asyncio.Event()  # not set while a completion may claim what idle slots can take
        self.no_offer.set()
        self.finishing = False
        self.exit_code = 0
        super().__init__(
            [func(self.runner.run, name=STAGE_FUNCTION, timeout=NEVER_S, keep_result=0, max_tries=1)],
            redis_pool=room.queue.redis,
            queue_name=f"{room.queue.prefix}:queue",
            cron_jobs=[cron(self.clockwork.tick, second=set(TICK_SECONDS))],
            max_jobs=sum(slots.capacity for slots in self.slots.values()),
            handle_signals=False,
            keep_result=0,
            retry_jobs=False,
            allow_abort_jobs=False,
            log_results=False,
        )
        self.lease = Lease(room, self.on_beat, self.on_doubt)

    async def main(self) -> None:
        """Serve until drained, then until every outcome is committed."""
        self.lease.start()
        listening = asyncio.create_task(self._beat_when_called())
        serving = [asyncio.create_task(self._serve(slot)) for slot in Slot]
        ticking = asyncio.create_task(self._tick())
        await asyncio.gather(ticking, *serving)
        await self._end_offers()
        await self.clockwork.stop()
        await self._finish_running()
        await self.runner.completer.drained()
        listening.cancel()

    async def _serve(self, slot: Slot) -> None:
        """Fill the free slots of one kind, again and again."""
        outage, slots, woken = Outage(log, "redis_away"), self.slots[slot], False
        while not self.draining.is_set():
            slots.is_idle = False
            slots.freed.clear()
            free = slots.free
            try:
                if not self.leased.is_set():
                    await self._either(self.leased.wait())
                    continue
                if free <= 0:
                    if woken:  # by a marker that is now for another worker
                        await self.room.queue.claim({slot: 0}, self.queues, self.plug_ins)
                    woken = False
                    await self._either(slots.freed.wait())
                    continue
                woken = False
                jobs = await self.room.queue.claim({slot: free}, self.queues, self.plug_ins)
                outage.end()
                slots.is_idle = len(jobs) < free  # the queues were empty then; who adds to one since has set a marker
                if jobs:
                    await self._start(slot, jobs)
                if slots.is_idle:
                    timeout_s = WAIT_S * random.uniform(0.8, 1.2)
                    await self._either(self.waiting.wait([slot], self.queues, timeout_s, self.plug_ins))
                    woken = True
            except REDIS_AWAY as error:
                slots.is_idle = False
                outage.note(error)
                await self._either(asyncio.sleep(OUTAGE_PAUSE_S * random.uniform(0.8, 1.2)))

    async def _tick(self) -> None:
        """Call what arq's cron says is next; arq itself would put it on a queue in Redis."""
        while not self.draining.is_set():
            now = datetime.now(UTC)
            (job,) = self.cron_jobs
            job.calculate_next(now)  # from now: what was slept through is one tick, and a clock may be set back
            assert job.next_run is not None
            await self._either(asyncio.sleep((job.next_run - now).total_seconds()))
            if self.leased.is_set() and not self.draining.is_set():
                await job.coroutine(self.ctx)

    async def _either(self, something: Awaitable[Any]) -> None:
        """Wait for something, or for the drain."""
        waiting = [asyncio.ensure_future(something), asyncio.create_task(self.draining.wait())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for future in waiting:
            future.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        if not waiting[0].cancelled() and (error := waiting[0].exception()):
            raise error

    @contextmanager
    def offering(self) -> Iterator[Offer]:
        """Promise the idle slots to what a completion may claim."""
        may = self.leased.is_set() and not self.draining.is_set()
        idle = {slot: slots.idle if may else 0 for slot, slots in self.slots.items()}
        inline, process = self.slots[Slot.INLINE], self.slots[Slot.PROCESS]
        asked_at = time.monotonic()
        self.no_offer.clear()
        try:
            with inline.promise(idle[Slot.INLINE]) as free_inline, process.promise(idle[Slot.PROCESS]) as free_process:
                serves = Serves(list(self.queues), list(self.room.tasks), free_inline, free_process)
                yield Offer(serves, lambda claims: self._begin_at_once(claims, asked_at))
        finally:
            self.no_offer.set()

    async def _end_offers(self) -> None:
        """In a drain: what is being claimed just now still runs; an answer that comes later is handed back."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.no_offer.wait(), OFFER_S)
        self.finishing = True

    def _begin_at_once(self, claims: Sequence[Claim], asked_at: float) -> None:
        for claim in claims:
            if self.finishing:
                self.runner.completer.put(drained(claim))
            else:
                self._begin(claim, claim.slot, asked_at)

    async def _start(self, slot: Slot, jobs: Sequence[Job]) -> None:
        """Claim popped jobs in Postgres and run those that were granted."""
        requests = {job.stage: ClaimRequest(job.stage, job.dispatch_token, uuid4()) for job in jobs}
        asked_at = time.monotonic()
        with self.slots[slot].promise(len(jobs)):
            answer = await self._claim(list(requests.values()))
        for claim in answer.claims:
            self._begin(claim, slot, asked_at)
        locked = set(chain.from_iterable(answer.locked))
        with suppress(*REDIS_AWAY):  # what stays in flight returns to its queue, and is refused at its next claim
            await self.room.queue.settle((job for job in jobs if job.stage not in locked), answer.hints)
            await self.room.queue.put_back(job for job in jobs if job.stage in locked)
        if answer.worker_lost:
            self.lost()

    def _begin(self, claim: Claim, slot: Slot, asked_at: float) -> None:
        """Run what was granted."""
        attempt = self.room.hold(claim)
        # While it waited for the answer the lease may have gone into doubt, or others may have ended the attempt.
        may_start = self.leased.is_set() and time.monotonic() - asked_at < self.room.settings.lease_timeout_s
        if not may_start:
            attempt.stop(Stop.FENCED)
        running = asyncio.create_task(self._run(attempt))
        self.slots[slot].running.add(running)
        running.add_done_callback(partial(self._free, self.slots[slot]))

    async def _claim(self, requests: Sequence[ClaimRequest]) -> Claimed:
        """Ask with the same tokens until there is an answer: a claim whose reply was lost is granted again."""
        asking = {request.lease_token for request in requests}
        self.asking |= asking
        outage = Outage(log, "claims_wait_for_postgres")
        try:
            while True:
                try:
                    return await stages.claim(self.room.pool, self.room.worker, requests)
                except Unavailable as error:
                    outage.note(error, count=len(requests))
                    await asyncio.sleep(OUTAGE_PAUSE_S * random.uniform(0.8, 1.2))
        finally:
            self.asking -= asking

    async def _run(self, attempt: Attempt) -> None:
        function = self.functions[STAGE_FUNCTION]
        assert isinstance(function, Function)
        await function.coroutine({**self.ctx, "attempt": attempt})

    def _free(self, slots: Slots, task: asyncio.Task[None]) -> None:
        slots.leave(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("stage_runner_failed", exc_info=error)

    async def _beat_when_called(self) -> None:
        while True:
            with suppress(*REDIS_AWAY):
                async for _ in self.waiting.calls_for_beats():
                    self.lease.beat_now()
            await asyncio.sleep(OUTAGE_PAUSE_S)

    def on_beat(self, beat: Beat) -> None:
        """Stop what the beat says to stop, and hand back attempts that we know nothing of."""
        if beat.lost:
            self.lost()
            return
        self.leased.set()
        for reason, lease_tokens in ((Stop.CANCEL, beat.cancelled), (Stop.FENCED, beat.fenced)):
            for lease_token in lease_tokens:
                if attempt := self.room.attempts.get(lease_token):
                    attempt.stop(reason)
        for stranger in beat.strangers:
            if stranger.lease_token not in self.room.attempts and stranger.lease_token not in self.asking:
                self.runner.completer.put(_hand_back(stranger))

    def on_doubt(self, share: float) -> None:
        """The lease could not be renewed for this share of its time: let go before somebody else takes over."""
        self.leased.clear()
        self.room.stop_all(Stop.FENCED if share > KILL_SHARE else Stop.DRAIN)
        if share > KILL_SHARE:
            self.clockwork.cancel()

    def lost(self) -> None:
        """The lease was taken: nothing here is ours any more."""
        if not self.exit_code:
            log.error("lease_lost", worker=str(self.room.worker))
        self.exit_code = EXIT_LEASE_LOST
        self.leased.clear()
        self.room.stop_all(Stop.FENCED)
        self.clockwork.cancel()
        self.draining.set()

    def drain(self) -> None:
        """Take no more work; a second call does not wait for what runs."""
        if self.draining.is_set():
            self.room.stop_all(Stop.FENCED)
        log.info("worker_drains", running=len(self.room.attempts))
        self.draining.set()

    async def _finish_running(self) -> None:
        """Let what runs finish within half the drain timeout; then it has the other half to checkpoint and leave."""
        half_s = self.room.settings.drain_timeout_s / 2
        with suppress(Unavailable):
            await workers.leave(self.room.pool, self.room.worker, "draining")
        for reason in (None, Stop.DRAIN, Stop.FENCED):
            if reason is not None:
                self.room.stop_all(reason)
            if running := set().union(*(slots.running for slots in self.slots.values())):
                await asyncio.wait(running, timeout=half_s)

    async def close(self) -> None:
        """Give up the lease."""
        self.lease.end()
        with suppress(Unavailable):
            await workers.leave(self.room.pool, self.room.worker, "stopped")


def _hand_back(stranger: Stranger) -> Completion:
    """As in a drain: nobody was lost, so it does not count towards quarantine."""
    error = {"code": "claim_unknown", "message": "Its worker does not know of this attempt; it goes on elsewhere."}
    return Completion(
        stranger.stage,
        stranger.attempt,
        stranger.lease_token,
        Outcome.CANCELLED,
        error=error,
        retry_delay_s=0,
        costs_retry=False,
    )


def served_queues(names: str) -> list[Queue]:
    """Read ``HEADWAY_WORKER_QUEUES``: comma-separated, empty for all; the order is always that of their priority.

    Raises:
        SetupError: one of them does not exist.

    """
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    if unknown := wanted - set(Queue):
        raise SetupError(f"No such queue: {', '.join(sorted(unknown))}. There are {', '.join(QUEUES_BY_PRIORITY)}.")
    return [queue for queue in QUEUES_BY_PRIORITY if not wanted or queue in wanted]


async def run(settings: Settings) -> int:
    """Be a worker until SIGTERM or SIGINT, then drain; return the exit code.

    Raises:
        SetupError: no server URLs, an unknown queue, a plug-in that cannot be used, a variable that no stage may see,
            servers that would lose work, or another installation's data.
        Unavailable: Postgres cannot be reached at the start.

    """
    if settings.database_url is None or settings.redis_url is None:
        raise SetupError("The worker needs HEADWAY_DATABASE_URL and HEADWAY_REDIS_URL.")
    queues = served_queues(settings.worker_queues)
    known = known_tasks(settings.task_modules)
    contract.stage_env_names(settings.stage_env)
    pool = await open_pool(
        settings.database_url.get_secret_value(),
        max_size=settings.database_pool_max,
        prepared_statements=settings.database_prepared_statements,
    )
    redis_url = settings.redis_url.get_secret_value()
    redis, blocking = open_redis(redis_url), open_redis(redis_url, blocking=True)
    try:
        with suppress(*REDIS_AWAY):
            await require_noeviction(redis)
        room = Room(uuid4(), settings, pool, JobQueue(redis, settings.redis_prefix), known)
        return await _serve(room, JobQueue(blocking, settings.redis_prefix), queues)
    finally:
        await redis.aclose(close_connection_pool=True)
        await blocking.aclose(close_connection_pool=True)
        pool.terminate()


async def _serve(room: Room, waiting: JobQueue, queues: Sequence[Queue]) -> int:
    await workers.require_durability(room.pool)
    installation, is_new = await workers.installation(room.pool), await workers.is_new(room.pool)
    require_data_dir(room.settings.data_dir, installation, may_adopt=is_new)
    await tasks.register(room.pool, map(task_type, room.tasks.values()))
    settings = room.settings
    await workers.register(
        room.pool,
        room.worker,
        name=workers.name_of(os.getpid()),
        version=__version__,
        queues=queues,
        tasks=sorted(room.tasks),
        slots=(settings.worker_concurrency, settings.worker_inline_concurrency),
        lease_timeout_s=settings.lease_timeout_s,
    )
    worker = HeadwayWorker(room, waiting, queues)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.drain)
    capacity = {slot: slots.capacity for slot, slots in worker.slots.items()}
    log.info("worker_started", worker=str(room.worker), queues=queues, slots=capacity, plug_ins=worker.plug_ins)
    async with room.progress_server.serving():
        await worker.async_run()
    await worker.close()
    log.info("worker_stopped", exit_code=worker.exit_code)
    return worker.exit_code
