"""Hear of completions: their stream says which pipelines to look at, and nothing more is believed of it."""

from typing import Any

import structlog
from redis.exceptions import ResponseError

from app.queue import JobQueue
from app.scheduler.releaser import Releaser

GROUP = "schedulers"
READ_COUNT = 1_000
BLOCK_MS = 2_000
DIGITS = 19  # of a number that is too long for a pipeline's id
log = structlog.get_logger()


class Completions:
    """Reads the stream in a group that all schedulers share, without a pending list: a lost hint costs one sweep.

    They read under one name, so that a scheduler that is gone leaves nothing behind.
    """

    def __init__(self, queue: JobQueue, releaser: Releaser) -> None:
        self.redis = queue.redis
        self.stream = f"{queue.prefix}:completions"
        self.releaser = releaser

    async def run_once(self) -> int:
        """Wait for news, release where there may be something to release; return in how many pipelines."""
        try:
            answer = await self.redis.xreadgroup(
                GROUP, GROUP, {self.stream: ">"}, count=READ_COUNT, block=BLOCK_MS, noack=True
            )
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            return await self._join()
        pipelines = _named(answer)
        await self.releaser.release(pipelines)
        return len(pipelines)

    async def _join(self) -> int:
        """Make the group anew, after FLUSHALL say, and catch up with what was said meanwhile."""
        try:
            await self.redis.xgroup_create(self.stream, GROUP, id="$", mkstream=True)
            log.info("event_group_created", stream=self.stream)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):  # another scheduler was faster
                raise
        return await self.releaser.run_once()


def _named(answer: list[Any]) -> set[int]:
    numbers = [fields.get(b"i", b"") for _, found in answer or [] for _, fields in found]
    return {int(number) for number in numbers if number.isdigit() and len(number) < DIGITS}
