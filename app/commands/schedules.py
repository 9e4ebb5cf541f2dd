"""``headway schedules``: cron lines that submit pipelines."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from cyclopts import App, Parameter
from msgspec.structs import replace

from app.client import ApiError
from app.commands import exits
from app.commands.calls import assignments, connect, enough, on_each, tell_more
from app.commands.mistakes import explain
from app.commands.params import params_of
from app.commands.spec_file import SpecFile, parse, read_text
from app.commands.terminal import OutputOption, one_line, print_json, print_line, print_table
from app.commands.wording import message_of
from schemas.schedule import CatchUp, Overlap, Schedule, ScheduleSlot, ScheduleSummary

schedules = App(name="schedules", help="List, show, create, pause, resume and delete schedules.")


@schedules.default
@schedules.command(name="ls")
async def list_schedules(*, limit: int = 50, cursor: str | None = None, output: OutputOption = "table") -> int:
    """List schedules by name, with their next slot and what became of the last."""
    async with connect() as client:
        page = await enough(lambda count, place: client.schedules.list(limit=count, cursor=place), limit, cursor)
    if output == "json":
        print_json(page)
    else:
        print_table("schedule, cron, time zone, next, last", [_row(each) for each in page.items], flexible="schedule")
        tell_more(page.next_cursor)
    return exits.COMPLETED


@schedules.command
async def show(name: str, /, *, output: OutputOption = "table") -> int:
    """Show a schedule with its newest slots.

    Args:
        name: Which one.
        output: "json" prints everything.

    """
    async with connect() as client:
        schedule = await client.schedules.get(name)
    if output == "json":
        print_json(schedule)
    else:
        _draw(schedule)
    return exits.COMPLETED


@schedules.command
async def create(
    name: str,
    /,
    *,
    cron: str,
    timezone: str = "UTC",
    template: str | None = None,
    version: int | None = None,
    param: Annotated[tuple[str, ...], Parameter(name=["--param", "-p"])] = (),
    file: SpecFile | None = None,
    overlap: Overlap | None = None,
    catch_up: CatchUp | None = None,
    catch_up_max: int | None = None,
    priority: int | None = None,
    label: tuple[str, ...] = (),
    description: str | None = None,
    paused: bool = False,
    output: OutputOption = "table",
) -> int:
    """Submit a pipeline at every slot of a cron line; prints when the first one is.

    Args:
        name: Of the schedule.
        cron: Minute, hour, day of month, month, day of week: "30 2 * * 1-5".
        timezone: Where the clock hangs: Europe/Berlin.
        template: What to submit; or use --file.
        version: Of the template; at each slot the newest unless given.
        param: name=value for the template, the value written as in YAML; may be repeated.
        file: A pipeline in YAML or JSON to submit, instead of a template; "-" reads stdin.
        overlap: While an earlier one runs: skip (unless given), allow, buffer_one, cancel_other.
        catch_up: After an outage: none, latest (unless given), all.
        catch_up_max: How many slots at most with all; 10 unless given.
        priority: 1 to 10, 10 first.
        label: key=value for its pipelines; may be repeated.
        description: For people.
        paused: Fire nothing until a resume.
        output: "json" prints the schedule.

    """
    text = b"" if file is None else read_text(file)
    body: dict[str, Any] = {"name": name, "cron": cron, "timezone": timezone, "paused": paused}
    more = {
        "template": template,
        "version": version,
        "params": params_of(param) or None,
        "pipeline": None if file is None else parse(text, file),
        "overlap": overlap,
        "catch_up": catch_up,
        "catch_up_max": catch_up_max,
        "priority": priority,
        "labels": assignments(label) or None,
        "description": description,
    }
    body |= {key: value for key, value in more.items() if value is not None}
    async with connect() as client:
        try:
            schedule = await client.schedules.create(body)
        except ApiError as refusal:
            of_file = [
                replace(fault, pointer=fault.pointer.removeprefix("/pipeline"))
                for fault in refusal.faults
                if fault.pointer and fault.pointer.startswith("/pipeline/")
            ]
            if file is None or len(of_file) < len(refusal.faults) or not of_file:
                raise
            return explain(file, text, of_file)
    return _tell(schedule, output)


@schedules.command
async def pause(*names: str, output: OutputOption = "table") -> int:
    """Fire nothing of them until a resume; what has been submitted goes on."""
    async with connect() as client:
        return await on_each(names, output, client.schedules.pause, _told)


@schedules.command
async def resume(*names: str, output: OutputOption = "table") -> int:
    """Fire again, from now on: what went by in the meantime is not caught up."""
    async with connect() as client:
        return await on_each(names, output, client.schedules.resume, _told)


@schedules.command
async def delete(*names: str, output: OutputOption = "table") -> int:
    """Delete schedules; the pipelines that they have made stay."""
    async with connect() as client:

        async def gone(name: str) -> dict[str, str]:
            await client.schedules.delete(name)
            return {"deleted": name}

        return await on_each(names, output, gone, lambda answer: f"{answer['deleted']} deleted")


def _tell(schedule: Schedule, output: str) -> int:
    if output == "json":
        print_json(schedule)
    else:
        print_line(_told(schedule))
    return exits.COMPLETED


def _told(schedule: ScheduleSummary) -> str:
    return f"{schedule.name} {'paused' if schedule.paused else f'next {_local(schedule.next_run_at)}'}"


def _row(schedule: ScheduleSummary) -> Sequence[object]:
    coming = "paused" if schedule.paused else _local(schedule.next_run_at)
    last = schedule.last_slot
    return schedule.name, schedule.cron, schedule.timezone, coming, "" if last is None else last.state


def _draw(schedule: Schedule) -> None:
    submits = f"template {schedule.template}" if schedule.template else "a pipeline of its own"
    print_line(one_line(f"{_told(schedule)}: {submits} at {schedule.cron} ({schedule.timezone})"))
    print_line(f"overlap {schedule.overlap}, catch-up {schedule.catch_up}, missed {schedule.missed}")
    if schedule.slots:
        print_table("slot, state, pipeline or reason", [_slot_row(each) for each in schedule.slots])


def _slot_row(slot: ScheduleSlot) -> Sequence[object]:
    return _local(slot.slot), slot.state, slot.pipeline or message_of(slot.error)


def _local(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M %Z}"
