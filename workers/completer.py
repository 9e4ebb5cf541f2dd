"""Commit outcomes, all that wait in one transaction: at once when it is quiet, in large batches when it is not."""

import asyncio
import random
from itertools import chain

import structlog

from app.errors import Unavailable
from app.log import Outage
from app.services import stages
from schemas.stage import Completed, Completion
from workers.follow_up import follow_up
from workers.room import Room

BATCH_MAX = 500
PAUSE_S = 0.5
log = structlog.get_logger()


class Completer:
    """Repeats an outcome until Postgres has answered for it; its attempt is held, and beaten for, until then."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self._waiting: list[Completion] = []
        self._flusher: asyncio.Task[None] | None = None
        self._outage = Outage(log, "outcomes_wait_for_postgres")

    def put(self, completion: Completion) -> None:
        """Commit this outcome soon."""
        self._waiting.append(completion)
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())

    async def drained(self) -> None:
        """Wait until every outcome so far is committed."""
        while self._flusher is not None and not self._flusher.done():
            await asyncio.wait([self._flusher])

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            await self._commit(batch)

    async def _commit(self, batch: list[Completion]) -> None:
        try:
            answer = await stages.complete(self.room.pool, batch)
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

    async def _committed(self, batch: list[Completion], answer: Completed) -> None:
        locked = set(chain.from_iterable(answer.locked))
        for completion in batch:
            if completion.stage in locked:
                self._waiting.append(completion)
            else:
                self.room.let_go(completion.lease_token)
        if answer.stale:
            log.warning("outcomes_came_too_late", stages=[str(stage) for stage in answer.stale])
        await follow_up(self.room, answer)
        if locked:
            await asyncio.sleep(PAUSE_S)
