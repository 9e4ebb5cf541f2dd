"""The judge: what may never happen, found in the record of a pipeline. Each finding names its counter and its place."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import chain, pairwise
from typing import NamedTuple
from uuid import UUID

from tests.chaos.campaign.record import Record
from tests.chaos.campaign.timetable import Schedule

COUNTERS = {
    "lost": "accepted, and not in Postgres; or a slot without its pipeline",
    "duplicated": "an outcome, an attempt, a pipeline, or that of a slot, that is there twice",
    "released_twice": "a stage queued more often than its attempts ask for",
    "stale_commits": "an outcome of another attempt than the newest, or of work that was not done",
    "started_late": "a start after the cancel, or during a pause",
    "stuck": "a pipeline that does not end once the faults have stopped",
    "ended_wrong": "a pipeline or stage that ended otherwise than it should",
    "sse_gaps": "an event that a stream did not tell, or not in its place",
    "sse_doubles": "an event that a stream told again",
    "bad_answers": "a 5xx answer other than 503 with Retry-After",
    "late": "a recovery that took longer than it may",
    "slow_tail": "a new pipeline that was slow after the quiet period",
    "void": "a fault that did not happen, so the round proves nothing",
    "disorder": "what does not agree with a recount in Postgres",
}
ENDED = {"stage.completed", "stage.failed", "stage.skipped", "stage.cancelled"}


class Finding(NamedTuple):
    """Something that may never happen."""

    counter: str
    what: str


def findings(record: Record) -> Iterator[Finding]:
    """All that is wrong with a pipeline."""
    found = [_kept, _settled, _outcomes, _releases, _fences, _starts, _witnesses, _numbers, _stream, _streams_of_all]
    if record.uuid is None:
        found = []
    for rule in found:
        for counter, what in rule(record):
            yield Finding(counter, f"{record.key} ({record.uuid}): {what}")


def _kept(record: Record) -> Iterator[tuple[str, str]]:
    if record.status is None:
        yield "lost", "it is not there"
    if record.creations > 1:
        yield "duplicated", f"created {record.creations} times"


def _settled(record: Record) -> Iterator[tuple[str, str]]:
    if record.status is None:
        return
    if not record.has_ended:
        waiting = {name: stage.status for name, stage in record.stages.items() if stage.status != "completed"}
        yield "stuck", f"{record.status}, {waiting}"
    elif record.status not in record.ends:
        wrong = {name: stage.told for name, stage in record.stages.items() if stage.status in {"failed", "cancelled"}}
        yield "ended_wrong", f"{record.status}, {wrong}"


def _outcomes(record: Record) -> Iterator[tuple[str, str]]:
    ends = Counter(event.stage for event in record.events if event.type in ENDED)
    yield from (("duplicated", f"{stage} ended {times} times") for stage, times in ends.items() if times > 1)
    starts = Counter((e.stage, e.data["attempt"]) for e in record.events if e.type == "stage.started")
    yield from (("duplicated", f"{start} started {times} times") for start, times in starts.items() if times > 1)
    closes = Counter(
        (e.stage, e.data["attempt"])
        for e in record.events
        if e.type in {*ENDED, "stage.retrying"} and "attempt" in e.data
    )
    yield from (("duplicated", f"{close} was closed {times} times") for close, times in closes.items() if times > 1)


def _releases(record: Record) -> Iterator[tuple[str, str]]:
    queued = Counter(event.stage for event in record.events if event.type == "stage.queued")
    again = Counter(event.stage for event in record.events if event.type == "stage.retrying")
    for stage, times in queued.items():
        if times > 1 + again[stage]:
            yield "released_twice", f"{stage} was queued {times} times for {again[stage]} retries"


def _fences(record: Record) -> Iterator[tuple[str, str]]:
    for before, after in pairwise(record.attempts):
        if before.stage == after.stage and (before.finished_at is None or before.finished_at > after.started_at):
            yield "stale_commits", f"attempt {after.attempt} of {after.stage} began before {before.attempt} was closed"
    newest = {attempt.stage: attempt.attempt for attempt in record.attempts}
    for event in record.events:
        if event.type == "stage.completed" and event.data["attempt"] != newest.get(event.stage or ""):
            yield "stale_commits", f"{event.stage} completed by {event.data['attempt']}, not by {newest[event.stage]}"
    for attempt in record.attempts:
        if attempt.outcome == "completed" and attempt.attempt != newest[attempt.stage]:
            yield "stale_commits", f"attempt {attempt.attempt} of {attempt.stage} completed and {newest} followed"
    for name, stage in record.stages.items():
        if stage.status == "completed" and (by := stage.result.get("by", stage.attempt)) != stage.attempt:
            yield "stale_commits", f"{name} has the result of attempt {by}, and is at {stage.attempt}"


def _starts(record: Record) -> Iterator[tuple[str, str]]:
    held = ""
    for event in record.events:
        if event.type in {"pipeline.cancelling", "pipeline.paused", "pipeline.resumed"}:
            held = "" if event.type == "pipeline.resumed" else event.type
        elif event.type == "stage.started" and held:
            yield "started_late", f"{event.stage} started after {held}"
        elif event.type == "stage.queued" and held == "pipeline.cancelling":
            yield "started_late", f"{event.stage} was queued after {held}"


def _witnesses(record: Record) -> Iterator[tuple[str, str]]:
    """Hold what the stages have said themselves against what Postgres believes."""
    begun = Counter((line.stage, line.attempt) for line in record.said if line.word == "begin")
    claimed = {(attempt.stage, attempt.attempt) for attempt in record.attempts}
    for run, times in begun.items():
        if times > 1:
            yield "duplicated", f"{run} really ran {times} times"
        if run not in claimed:
            yield "duplicated", f"{run} ran, and nobody had claimed it"
    done = {(line.stage, line.attempt) for line in record.said if line.word == "end"}
    for name in record.witnessed:
        stage = record.stages.get(name)
        if stage and stage.status == "completed" and (name, stage.attempt) not in done:
            yield "stale_commits", f"{name} has completed, but its attempt {stage.attempt} did not get to its end"


def _numbers(record: Record) -> Iterator[tuple[str, str]]:
    seqs = [event.seq for event in record.events]
    if seqs != list(range(1, len(seqs) + 1)):
        yield "sse_gaps", f"the events in Postgres are {seqs}"


def _stream(record: Record) -> Iterator[tuple[str, str]]:
    if record.streamed is None:
        return
    doubles = sum(times - 1 for times in Counter(record.streamed).values())
    yield from [("sse_doubles", f"the stream told {record.streamed}")] * doubles
    if record.has_ended:
        told = {event.seq for event in record.events}
        yield from (("sse_gaps", f"the stream did not tell event {seq}") for seq in sorted(told - set(record.streamed)))
        if record.streamed != sorted(record.streamed):
            yield "sse_gaps", f"the stream told {record.streamed}"


def _streams_of_all(record: Record) -> Iterator[tuple[str, str]]:
    """Hold each listener to what Postgres has. A resume may tell events again; a connection tells none twice."""
    for connections in record.heard:
        doubles = sum(len(told) - len(set(told)) for told in connections)
        yield from [("sse_doubles", f"one connection to all pipelines told {connections}")] * doubles
        first_heard = list(dict.fromkeys(chain.from_iterable(connections)))
        lacking = {event.seq for event in record.events} - set(first_heard) if record.has_ended else set()
        yield from (("sse_gaps", f"the stream of all pipelines did not tell event {seq}") for seq in sorted(lacking))
        if any(told != sorted(told) for told in (first_heard, *connections)):
            yield "sse_gaps", f"the stream of all pipelines told {connections}"


def slot_findings(schedule: Schedule) -> Iterator[Finding]:
    """All that is wrong with the slots of a schedule."""
    for rule in (_decided, _fired, _beside):
        for counter, what in rule(schedule):
            yield Finding(counter, f"{schedule.name}: {what}")


def _decided(schedule: Schedule) -> Iterator[tuple[str, str]]:
    """Every slot that has come is decided, and as its policies want it."""
    states = {row.slot: row.state for row in schedule.slots}
    allowed = {"fired"} if schedule.overlap == "allow" else {"fired", "skipped"}
    for slot in schedule.due:
        if (state := states.get(slot)) is None:
            yield "lost", f"nobody has decided {slot}"
        elif state not in allowed:
            yield "stuck" if state == "waiting" else "ended_wrong", f"{slot} is {state}"
    yield from (("duplicated", f"{slot} was decided before it came") for slot in states.keys() - set(schedule.due))


def _fired(schedule: Schedule) -> Iterator[tuple[str, str]]:
    """A slot that has fired has one pipeline, the one that it names; another slot has none."""
    made: dict[datetime, list[UUID]] = defaultdict(list)
    for pipeline in schedule.pipelines:
        made[pipeline.slot].append(pipeline.uuid)
    for row in schedule.slots:
        of_it = made.pop(row.slot, [])
        if len(of_it) > (row.state == "fired"):
            yield "duplicated", f"{row.slot} is {row.state} and has {len(of_it)} pipelines"
        if row.state == "fired" and row.pipeline not in of_it:
            yield "lost", f"{row.slot} has fired, and its pipeline is not there"
    yield from (("duplicated", f"{slot} has a pipeline, and nobody has decided it") for slot in made)


def _beside(schedule: Schedule) -> Iterator[tuple[str, str]]:
    """A schedule that buffers has one pipeline at a time."""
    if schedule.overlap == "allow":
        return
    for before, after in pairwise(schedule.pipelines):
        if before.finished_at is None or before.finished_at > after.created_at:
            yield "duplicated", f"the pipeline of {after.slot} began before that of {before.slot} had ended"
