"""Commit outcomes, all that wait in one transaction: at once when it is quiet, in large batches when it is not.

While it is little, the same transaction releases what they make possible, and claims of that what idle slots of this
worker can take, without the way through Redis: where slots are idle the queues are empty, so nobody is overtaken.
Whatever is more, is locked or goes wrong is left to the schedulers: they hear of it on the stream of completions, or
find it by their sweep.
"""

import asyncio
import random
from itertools import chain

import structlog
from msgspec.structs import replace

from app.errors import Unavailable
from app.log import Outage
from app.services import stages
from schemas.stage import Completed, Completion
from workers.publish import publish
from workers.room import Room
from workers.slots import nothing

BATCH_MAX = 500
PAUSE_S = 0.5
log = structlog.get_logger()


class Completer:
    """Repeats an outcome until Postgres has answered for it; its attempt is held, and beaten for, until then."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self._waiting: list[Completion] = []
        self._flusher: asyncio.Task[None] | None = None
        self._publishing: asyncio.Task[None] | None = None
        self._outage = Outage(log, "outcomes_wait_for_postgres")

    def put(self, completion: Completion) -> None:
        """Commit this outcome soon."""
        self._waiting.append(completion)
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())

    async def drained(self) -> None:
        """Wait until every outcome so far is committed, and told."""
        while self._flusher is not None and not self._flusher.done():
            await asyncio.wait([self._flusher])
        if self._publishing is not None:
            await self._publishing

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            await self._commit(batch)

    async def _commit(self, batch: list[Completion]) -> None:
        try:
            answer = await self._complete(batch)
        except Unavailable as error:
            self._outage.note(error, count=len(batch))
            self._waiting = batch + self._waiting
            await asyncio.sleep(PAUSE_S * random.uniform(0.8, 1.2))
        except Exception:
            if len(batch) > 1:
                for completion in batch:
                    await self._commit([completion])
                return
            # A bug, and one stage's only. Let go of it: the beat finds a stranger there and hands it back as lost.
            log.exception("outcome_refused", stage=str(batch[0].stage))
            self.room.let_go(batch[0].lease_token)
        else:
            self._outage.end()
            await self._committed(batch, answer)

    async def _complete(self, batch: list[Completion]) -> Completed:
        try:
            with self.room.offering() as offer:
                answer = await stages.complete_to_worker(self.room.pool, batch, self.room.worker, offer.serves)
                offer.begin(answer.claims)
        except Unavailable:
            raise
        except Exception:  # a bug; outcomes must not suffer for it, nor what was claimed be claimed again
            log.exception("follow_up_failed")
            self.room.offering = nothing
            return await stages.complete(self.room.pool, batch)
        begun = {claim.stage for claim in answer.claims}
        left = [stage for stage in answer.queued if stage.stage not in begun]
        return await stages.complete_locked(self.room.pool, batch, replace(answer, queued=left))

    async def _committed(self, batch: list[Completion], answer: Completed) -> None:
        locked = set(chain.from_iterable(answer.locked))
        for completion in batch:
            if completion.stage in locked:
                self._waiting.append(completion)
            else:
                self.room.let_go(completion.lease_token)
        if answer.stale:
            log.warning("outcomes_came_too_late", stages=[str(stage) for stage in answer.stale])
        if self._publishing is not None:  # the next outcomes need not wait for it, only what is to be said of them
            await self._publishing
        self._publishing = asyncio.create_task(publish(self.room.queue, answer))
        if locked:
            await asyncio.sleep(PAUSE_S)
