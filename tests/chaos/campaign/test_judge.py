"""The judge sees what may never happen, in records of which one thing is wrong."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.chaos.campaign.judge import COUNTERS, findings, slot_findings
from tests.chaos.campaign.outside import Said
from tests.chaos.campaign.record import Attempt, Record, Stage, Told
from tests.chaos.campaign.timetable import Made, Schedule, Slot

START = datetime(2030, 1, 1, tzinfo=UTC)


def second(number: int) -> datetime:
    return START + timedelta(seconds=number)


def told(*events: tuple[str, str | None, int | None]) -> list[Told]:
    return [
        Told(seq, kind, stage, {} if attempt is None else {"attempt": attempt})
        for seq, (kind, stage, attempt) in enumerate(events, 1)
    ]


def healthy() -> Record:
    """A stage whose first worker was lost, and that completed on the second."""
    return Record(
        key="k",
        ends={"completed"},
        uuid=uuid4(),
        status="completed",
        witnessed={"a"},
        stages={"a": Stage("completed", 2, {"by": 2}, {})},
        attempts=[
            Attempt("a", 1, "lost", second(0), second(3), "host:1"),
            Attempt("a", 2, "completed", second(4), second(5), "host:2"),
        ],
        events=told(
            ("pipeline.created", None, None),
            ("pipeline.started", None, None),
            ("stage.queued", "a", None),
            ("stage.started", "a", 1),
            ("stage.retrying", "a", 1),
            ("stage.queued", "a", None),
            ("stage.started", "a", 2),
            ("stage.completed", "a", 2),
            ("pipeline.completed", None, None),
        ),
        streamed=list(range(1, 10)),
        heard=[[list(range(1, 10))], [[1, 2, 3], [2, 3, 4, 5], [6, 7, 8, 9]]],
        said=[Said("k", "a", 1, 7, "begin"), Said("k", "a", 2, 8, "begin"), Said("k", "a", 2, 8, "end")],
    )


def with_events(record: Record, *more: tuple[str, str | None, int | None], at: int = 8) -> Record:
    """Put events before the one at this place, and number all of them again."""
    events = [(event.type, event.stage, event.data.get("attempt")) for event in record.events]
    numbered = told(*events[: at - 1], *more, *events[at - 1 :])
    seqs = [event.seq for event in numbered]
    return replace(record, events=numbered, streamed=seqs, heard=[[seqs]])


WRONG: dict[str, tuple[str, Callable[[Record], Record]]] = {
    "not there": ("lost", lambda r: replace(r, status=None, events=[], streamed=[], heard=[])),
    "created twice": ("duplicated", lambda r: replace(r, creations=2)),
    "ended twice": ("duplicated", lambda r: with_events(r, ("stage.failed", "a", 1))),
    "started twice": ("duplicated", lambda r: with_events(r, ("stage.started", "a", 2))),
    "closed twice": ("duplicated", lambda r: with_events(r, ("stage.retrying", "a", 1), at=6)),
    "ran twice": ("duplicated", lambda r: replace(r, said=[*r.said, Said("k", "a", 2, 9, "begin")])),
    "ran unclaimed": ("duplicated", lambda r: replace(r, said=[*r.said, Said("k", "a", 3, 9, "begin")])),
    "released twice": ("released_twice", lambda r: with_events(r, ("stage.queued", "a", None))),
    "result of a zombie": (
        "stale_commits",
        lambda r: replace(r, stages={"a": Stage("completed", 2, {"by": 1}, {})}),
    ),
    "two holders": ("stale_commits", lambda r: replace(r, attempts=[r.attempts[0], replace_start(r.attempts[1])])),
    "not done": ("stale_commits", lambda r: replace(r, said=r.said[:2])),
    "started after a cancel": ("started_late", lambda r: with_events(r, ("pipeline.cancelling", None, None), at=7)),
    "started in a pause": ("started_late", lambda r: with_events(r, ("pipeline.paused", None, None), at=7)),
    "still running": ("stuck", lambda r: replace(r, status="running")),
    "failed": ("ended_wrong", lambda r: replace(r, status="failed")),
    "not told": ("sse_gaps", lambda r: replace(r, streamed=[1, 2, *range(4, 10)])),
    "told again": ("sse_doubles", lambda r: replace(r, streamed=[1, 2, 2, *range(3, 10)])),
    "out of order": ("sse_gaps", lambda r: replace(r, streamed=[1, 3, 2, *range(4, 10)])),
    "not told to one": ("sse_gaps", lambda r: replace(r, heard=[*r.heard, [[1, 2, 3], [5, 6, 7, 8, 9]]])),
    "told to nobody": ("sse_gaps", lambda r: replace(r, heard=[[]])),
    "told again by one connection": ("sse_doubles", lambda r: replace(r, heard=[[[1, 2, 2, *range(3, 10)]]])),
    "told too late": ("sse_gaps", lambda r: replace(r, heard=[[[1, 3, 4, 5], [2, 3, 4, 5, 6, 7, 8, 9]]])),
}


def replace_start(attempt: Attempt) -> Attempt:
    return attempt._replace(started_at=second(2))


def test_nothing_is_found_in_a_healthy_record():
    assert list(findings(healthy())) == []


@pytest.mark.parametrize("name", WRONG)
def test_one_thing_is_wrong_and_it_is_found(name: str):
    counter, spoil = WRONG[name]
    found = {finding.counter for finding in findings(spoil(healthy()))}
    assert counter in found
    assert found <= set(COUNTERS)


def hour(number: int) -> datetime:
    return START + timedelta(hours=number)


def timetable() -> Schedule:
    """A schedule that buffers, and of whose slots the second was skipped."""
    uuids = [uuid4(), uuid4()]
    return Schedule(
        name="s",
        overlap="buffer_one",
        due=[hour(0), hour(1), hour(2)],
        slots=[Slot(hour(0), "fired", uuids[0]), Slot(hour(1), "skipped", None), Slot(hour(2), "fired", uuids[1])],
        pipelines=[Made(uuids[0], hour(0), second(0), second(5)), Made(uuids[1], hour(2), second(6), second(9))],
    )


def with_slot(schedule: Schedule, place: int, **fields: object) -> Schedule:
    slots = list(schedule.slots)
    slots[place] = slots[place]._replace(**fields)
    return replace(schedule, slots=slots)


def with_pipeline(schedule: Schedule, slot: datetime) -> Schedule:
    return replace(schedule, pipelines=[*schedule.pipelines, Made(uuid4(), slot, second(10), second(11))])


WRONG_SLOTS: dict[str, tuple[str, Callable[[Schedule], Schedule]]] = {
    "not decided": ("lost", lambda s: replace(s, due=[*s.due, hour(3)])),
    "without its pipeline": ("lost", lambda s: replace(s, pipelines=s.pipelines[1:])),
    "with another pipeline": ("lost", lambda s: with_slot(s, 0, pipeline=uuid4())),
    "with two": ("duplicated", lambda s: with_pipeline(s, hour(0))),
    "skipped, with one": ("duplicated", lambda s: with_pipeline(s, hour(1))),
    "before its time": ("duplicated", lambda s: replace(s, due=s.due[:2])),
    "undecided, with one": ("duplicated", lambda s: with_pipeline(s, hour(4))),
    "waiting for ever": ("stuck", lambda s: with_slot(s, 1, state="waiting")),
    "failed": ("ended_wrong", lambda s: with_slot(s, 1, state="failed")),
    "missed": ("ended_wrong", lambda s: with_slot(s, 1, state="missed")),
    "skipped for nothing": ("ended_wrong", lambda s: replace(s, overlap="allow")),
    "beside the one before": (
        "duplicated",
        lambda s: replace(s, pipelines=[s.pipelines[0]._replace(finished_at=second(7)), s.pipelines[1]]),
    ),
}


def test_nothing_is_found_in_a_healthy_timetable():
    assert list(slot_findings(timetable())) == []


@pytest.mark.parametrize("name", WRONG_SLOTS)
def test_one_thing_is_wrong_with_a_slot_and_it_is_found(name: str):
    counter, spoil = WRONG_SLOTS[name]
    assert [finding.counter for finding in slot_findings(spoil(timetable()))] == [counter]


def test_what_was_never_accepted_may_be_lost():
    assert list(findings(Record(key="k", ends={"completed"}))) == []
