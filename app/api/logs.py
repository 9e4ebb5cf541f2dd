"""``/api/v1/tasks/{task_id}/logs``: what an attempt has printed, or what it prints as it comes."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get
from litestar.params import FromPath, FromQuery, HeaderParameter, QueryParameter
from litestar.response import Stream

from app.api.events import HEADERS
from app.api.log_stream import LogStream, open_reader
from app.api.state import ApiState
from app.attempt_log import TAIL_BYTES_MAX, LogReader
from app.errors import NotFound
from app.services import tasks
from schemas.queue import Slot
from schemas.task import TaskPlace

STREAM_HEADERS = {**HEADERS, "Content-Type": "text/event-stream; charset=utf-8"}
TAIL_DEFAULT = 1_000
TAIL_MAX = 100_000
APPEARS_WITHIN_S = 5.0
"""How long after its start the log of an attempt may be missing because its worker has not made it yet."""

Attempt = Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1, description="which attempt; else the newest")]
Tail = Annotated[int, QueryParameter(ge=0, le=TAIL_MAX, description="how many of the last lines, of the last 1 MiB")]
LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        pattern=r"^[0-9]{1,9}:[0-9]{1,18}$",
        description="with follow: go on behind <attempt>:<byte offset>; wins over attempt and tail",
    ),
]


@get(
    "/{task_id:uuid}/logs",
    operation_id="getTaskLogs",
    summary="Read or follow the log of a task",
    media_type="text/plain",
    stream=True,
)
async def get_task_logs(
    state: ApiState,
    task_id: FromPath[UUID],
    *,
    attempt: Attempt = None,
    tail: Tail = TAIL_DEFAULT,
    follow: FromQuery[bool] = False,
    last_event_id: LastEventId = None,
) -> Response[Any]:
    """The last lines of what an attempt has printed, as plain text.

    With ``follow=true`` server-sent events: ``log`` with ``{attempt, text}`` as text comes, through the attempts that
    follow, and ``end`` with ``{status}`` when the task has ended. A client that has seen everything and comes back is
    answered 204.
    """
    place = await tasks.place(state.pool, task_id)
    resumed = _read_place(last_event_id) if follow and last_event_id else None
    number, offset = resumed or (attempt or place.attempt, 0)
    reader = _reader(state, place, number, offset)
    if resumed is None:
        await asyncio.to_thread(reader.skip_to_tail, tail)
    elif not await asyncio.to_thread(_has_more, reader) and place.has_ended and number == place.attempt:
        return Response(None, status_code=204)
    _require_seen(place, number, reader, follow=follow)
    if not follow:
        return Response(await asyncio.to_thread(_rest, reader), media_type="text/plain")
    frames = LogStream(state, task_id, place, number, reader).frames()
    return Stream(frames, headers=STREAM_HEADERS)


def _read_place(event_id: str) -> tuple[int, int]:
    attempt, _, offset = event_id.partition(":")
    return int(attempt), int(offset)


def _reader(state: ApiState, place: TaskPlace, attempt: int, offset: int = 0) -> LogReader:
    if place.slot is Slot.INLINE:
        raise NotFound("The task runs inside its worker, without a process of its own, and has no log.")
    if attempt > place.attempt:
        raise NotFound(f"There is no attempt {attempt} of this task; it was started {place.attempt} times.")
    return open_reader(state, place, attempt, offset)


def _require_seen(place: TaskPlace, attempt: int, reader: LogReader, *, follow: bool) -> None:
    if attempt == 0 and not follow:
        raise NotFound(f"The task is {place.status} and was never started, so it has no log.")
    may_appear = follow and not place.is_over(attempt) and (place.age_s or 0) < APPEARS_WITHIN_S
    if attempt > 0 and not reader.seen and not may_appear:
        raise NotFound(
            f"No log of attempt {attempt} is to be seen here: it ended before its process began, or its worker "
            "keeps it in another HEADWAY_DATA_DIR than this API process reads."
        )


def _has_more(reader: LogReader) -> bool:
    """Whether something follows, without taking it."""
    place = reader.place
    text = reader.read(last=True)
    reader.place = place
    return bool(text) and reader.seen


def _rest(reader: LogReader) -> str:
    """All that is there, within reason: it may be growing."""
    texts, size = [], 0
    while size < TAIL_BYTES_MAX and (text := reader.read()):
        texts.append(text)
        size += len(text)
    return "".join(texts)
