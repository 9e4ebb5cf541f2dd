"""A worker that has ten more periodic tasks and asks each second what is due; it tells a log outside of Headway."""

import os
from functools import partial

from witnesses import witness  # a plug-in has a task

import workers.worker
from workers.cron import PERIODIC, Clockwork, Periodic
from workers.room import Room

__all__ = ["witness"]
NAMES = [f"upkeep-{number}" for number in range(10)]
LOG = "upkeep.log"


def _say(room: Room, word: str) -> None:
    with (room.settings.data_dir / LOG).open("a") as log:
        log.write(f"{os.getpid()} {word}\n")


async def _run(room: Room, *, name: str) -> int:
    _say(room, name)
    return 1


class _Hurried(Clockwork):
    async def tick(self, *arguments: object, **options: object) -> None:
        await super().tick(*arguments, **options)
        _say(self.room, "tick")


workers.worker.TICK_SECONDS = range(60)
workers.worker.Clockwork = partial(
    _Hurried, tasks=[*PERIODIC, *(Periodic(name, 86_400, partial(_run, name=name)) for name in NAMES)]
)
