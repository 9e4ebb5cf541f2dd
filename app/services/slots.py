"""Slots of schedules: which are due, and firing them.

A scheduler reads what is due, decides here, and hands the decision over in one call; in Postgres it counts only if the
schedule is still as it was read. So any number of schedulers may look at once, and each may die on any line.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import to_builtins

from app.core.catch_up import decide
from app.core.cron import due_slots, next_slot
from app.core.schedule import plan_slot
from app.db import schedules as db
from app.db.pool import Pool, connection
from app.db.schedules import Fired
from app.errors import InvalidRequest, NotFound
from app.services import tasks
from app.services.pipelines import DEFAULT_PROJECT, rows, uuid7
from app.services.schedules import template_of
from schemas.schedule import CatchUp, DueSchedule

LOOKED_AT_MAX = 1_000
"""So many slots of one schedule are looked at in a turn; behind a very long outage it takes several."""
FIRED_AT_ONCE = 10
RECORDED_MAX = 100
"""So many missed slots of a turn get a row; all are counted."""


async def due(pool: Pool, limit: int) -> list[DueSchedule]:
    """Schedules that have something to do, the longest due first."""
    async with connection(pool) as c:
        return await db.due(c, limit)


async def fire(pool: Pool, due: DueSchedule, *, stages_max: int, project: str = DEFAULT_PROJECT) -> Fired:
    """Do what a schedule has to do now, or the first part of it; the caller dispatches what the transition names.

    Raises:
        ValueError: its line or its time zone cannot be read any more.

    """
    if due.waiting:
        (made,) = await _made(pool, due, [due.slot], stages_max=stages_max, project=project)
        async with connection(pool) as c:
            return await db.fire_waiting(c, due, made)
    found = due_slots(due.cron, due.timezone, due.slot, due.now, LOOKED_AT_MAX)
    if len(found) == LOOKED_AT_MAX:  # whatever the policy is, what it wants is among the newest
        first = LOOKED_AT_MAX - due.catch_up_max
        async with connection(pool) as c:
            return await db.fire(c, due, [], ([], first), found[first])
    decided = decide(found, due.now, CatchUp(due.catch_up), due.catch_up_max)
    run, later = decided.run[:FIRED_AT_ONCE], decided.run[FIRED_AT_ONCE:]
    following = later[0] if later else next_slot(due.cron, due.timezone, found[-1])
    wanted = await _made(pool, due, run, stages_max=stages_max, project=project)
    async with connection(pool) as c:
        return await db.fire(c, due, wanted, (decided.missed[-RECORDED_MAX:], len(decided.missed)), following)


async def _made(
    pool: Pool, due: DueSchedule, slots: list[datetime], *, stages_max: int, project: str
) -> list[Mapping[str, Any]]:
    """What is to be stored for each slot: a pipeline, or why there is none."""
    types = await tasks.registered(pool, project)
    made: list[Mapping[str, Any]] = []
    for slot in slots:
        try:
            template = await template_of(pool, due.template, due.version, project=project)
            plan = plan_slot(due, slot, template, types, stages_max=stages_max)
        except (InvalidRequest, NotFound) as error:
            told = {"code": error.code, "message": error.detail, "errors": to_builtins(error.faults)}
            made.append({"slot": slot, "error": told})
        else:
            spec, edges = rows(plan, uuid7(), project)
            made.append({"slot": slot, "spec": spec, "edges": edges})
    return made
