"""Schedules: store and change them, and fire their slots, each once."""

from datetime import datetime
from uuid import UUID

import msgspec

from app.core.characters import is_name, text_faults
from app.core.cron import cron_faults, next_slot
from app.core.cursor import NameKey, read_cursor, write_cursor
from app.core.plan import refusal_of
from app.core.schedule import plan_slot
from app.core.wording import quoted
from app.db import schedules as db
from app.db.pool import Pool, Taken, connection
from app.errors import Conflict, InvalidRequest, NotFound, Unavailable
from app.services import tasks, templates
from app.services.pipelines import DEFAULT_PROJECT
from schemas.problem import Fault
from schemas.schedule import Schedule, SchedulePage, SchedulePatch, ScheduleSpec
from schemas.template import Template

CHANGES_TRIED = 5
PRUNED_AT_ONCE = 10_000


async def create(pool: Pool, spec: ScheduleSpec, *, stages_max: int, project: str = DEFAULT_PROJECT) -> Schedule:
    """Store a schedule.

    Raises:
        InvalidRequest: its line never fires, or what it submits could not be stored now.
        Conflict: there is one of that name.

    """
    async with connection(pool) as c:
        now = await db.now(c)
    next_run_at = await _checked(pool, spec, now, stages_max=stages_max, project=project)
    try:
        async with connection(pool) as c:
            await db.create(c, project, spec, next_run_at)
    except Taken:
        raise Conflict(f"There is a schedule {quoted(spec.name)} already; change it, or delete it first.") from None
    return await get(pool, spec.name, project=project)


async def get(pool: Pool, name: str, *, project: str = DEFAULT_PROJECT) -> Schedule:
    """Everything about a schedule.

    Raises:
        NotFound: there is none of that name.

    """
    return (await _found(pool, name, project)).schedule


async def list_page(
    pool: Pool, *, cursor: str | None = None, limit: int, project: str = DEFAULT_PROJECT
) -> SchedulePage:
    """One page of schedules, by name.

    Raises:
        InvalidRequest: the cursor is none of ours.

    """
    after = "" if cursor is None else read_cursor(cursor, NameKey).name
    async with connection(pool) as c:
        found = await db.page(c, project, after, limit + 1)
    more = len(found) > limit
    return SchedulePage(items=found[:limit], next_cursor=write_cursor(NameKey(found[limit - 1].name)) if more else None)


async def patch(
    pool: Pool, name: str, change: SchedulePatch, *, stages_max: int, project: str = DEFAULT_PROJECT
) -> Schedule:
    """Change what ``change`` names. A new line or zone, and a resume, count from now: nothing before is caught up.

    Raises:
        NotFound: there is none of that name.
        InvalidRequest: what comes of it could not be stored.

    """
    for _ in range(CHANGES_TRIED):
        found = await _found(pool, name, project)
        before = spec_of(found.schedule)
        wanted = _changed(before, change)
        async with connection(pool) as c:
            now = await db.now(c)
        next_run_at = await _checked(pool, wanted, now, stages_max=stages_max, project=project)
        keep = all(getattr(before, field) == getattr(wanted, field) for field in ("cron", "timezone", "paused"))
        async with connection(pool) as c:
            if await db.change(c, found, wanted, next_run_at, keep_next=keep):
                return await get(pool, name, project=project)
    raise Unavailable("The schedule is being changed by others; try again in a moment.")


async def delete(pool: Pool, name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Delete a schedule and what is known of its slots; its pipelines stay.

    Raises:
        NotFound: there is none of that name.

    """
    found = await _found(pool, name, project)
    async with connection(pool) as c:
        if not await db.delete(c, found.id):
            raise _unknown(name)


async def in_the_way(pool: Pool, limit: int) -> list[UUID]:
    """Pipelines that a later slot of their schedule wants cancelled."""
    async with connection(pool) as c:
        return await db.in_the_way(c, limit)


async def prune(pool: Pool, kept_s: float) -> int:
    """Forget slots that were decided longer ago than so many seconds; return how many."""
    async with connection(pool) as c:
        pruned = batch = await db.prune(c, kept_s, PRUNED_AT_ONCE)
        while batch == PRUNED_AT_ONCE:
            pruned += (batch := await db.prune(c, kept_s, PRUNED_AT_ONCE))
    return pruned


def spec_of(schedule: Schedule) -> ScheduleSpec:
    """A stored schedule as a client would write it."""
    return msgspec.convert(
        {name: getattr(schedule, name) for name in ScheduleSpec.__struct_fields__}, ScheduleSpec, from_attributes=True
    )


def _changed(before: ScheduleSpec, change: SchedulePatch) -> ScheduleSpec:
    named = msgspec.to_builtins(change)
    if "template" in named:
        named.setdefault("version", None)
    if "template" in named and "pipeline" not in named:
        named["pipeline"] = None
    elif "pipeline" in named and "template" not in named:
        named |= {"template": None, "version": None}
        named.setdefault("params", {})
    return msgspec.convert({**msgspec.to_builtins(before), **named}, ScheduleSpec)


async def _checked(pool: Pool, spec: ScheduleSpec, now: datetime, *, stages_max: int, project: str) -> datetime | None:
    """The next slot, None while it is paused. Raises InvalidRequest for everything that is wrong."""
    faults = [*text_faults(spec.description, "/description"), *cron_faults(spec.cron, spec.timezone)]
    following = None if faults else next_slot(spec.cron, spec.timezone, now)
    if not faults and following is None:
        faults.append(Fault("cron_invalid", f"{quoted(spec.cron)} never fires", "/cron"))
    faults += await _submission_faults(pool, spec, following or now, stages_max=stages_max, project=project)
    if faults:
        raise refusal_of(tuple(faults))
    return None if spec.paused else following


async def _submission_faults(
    pool: Pool, spec: ScheduleSpec, slot: datetime, *, stages_max: int, project: str
) -> tuple[Fault, ...]:
    """Why the slot could not be fired, as far as that is known today."""
    if (spec.template is None) == (spec.pipeline is None):
        return (Fault("template_or_pipeline", "a schedule has a template or a pipeline: one of them", "/template"),)
    if spec.pipeline is not None and (spec.params or spec.version is not None):
        return (Fault("template_or_pipeline", "params and version go with a template", "/pipeline"),)
    try:
        template = await template_of(pool, spec.template, spec.version, project=project)
        plan_slot(spec, slot, template, await tasks.registered(pool, project), stages_max=stages_max)
    except NotFound as error:
        return (Fault("unknown_template", error.detail, "/template" if spec.version is None else "/version"),)
    except InvalidRequest as refusal:
        return refusal.faults
    return ()


async def template_of(pool: Pool, name: str | None, version: int | None, *, project: str) -> Template | None:
    """The template that a schedule submits; None for one with a pipeline of its own.

    Raises:
        NotFound: there is no such one.

    """
    return None if name is None else await templates.get(pool, name, version, project=project)


async def _found(pool: Pool, name: str, project: str) -> db.Found:
    found = None
    if is_name(name):
        async with connection(pool) as c:
            found = await db.get(c, project, name)
    if found is None:
        raise _unknown(name)
    return found


def _unknown(name: str) -> NotFound:
    return NotFound(f"There is no schedule {quoted(name)}.")
