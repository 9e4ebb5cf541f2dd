"""Events as streams that can be resumed.

``/api/v1/pipelines/{uuid}/events`` has those of one pipeline, ``/api/v1/events`` those of all.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get
from litestar.params import FromPath, HeaderParameter, QueryParameter
from litestar.response import Stream

from app.api.query import labels, refused
from app.api.state import ApiState
from app.broadcast import Broadcaster
from app.core.bookmark import Bookmark
from app.core.wording import quoted
from app.feed import Feed
from app.follower import Wanted
from app.services import events
from schemas.event import EventType, LiveType
from schemas.states import PipelineStatus

SEQ_MAX = 2**31 - 1
CURSOR_MAX = 100
TYPES = frozenset((*EventType, *LiveType))
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
RETRY = b"retry: 2000\n\n"
HEARTBEAT = b": heartbeat\n\n"

After = Annotated[int, QueryParameter(ge=0, le=SEQ_MAX, description="resume behind the event with this id")]
LastEventId = Annotated[
    int | None,
    HeaderParameter(name="Last-Event-ID", ge=0, le=SEQ_MAX, description="the same, sent by browsers; wins over after"),
]

Types = Annotated[
    list[str] | None, QueryParameter(name="type", description="only events of these types, live ones too")
]
Statuses = Annotated[
    list[PipelineStatus] | None,
    QueryParameter(description="only events after which their pipeline has one of these statuses"),
]
Labels = Annotated[
    list[str] | None,
    QueryParameter(description="key:value; only events of pipelines that have all of these labels"),
]
Cursor = Annotated[
    str | None,
    QueryParameter(max_length=CURSOR_MAX, description="resume behind this cursor; begin: from the oldest event"),
]
LastCursor = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        max_length=CURSOR_MAX,
        description="the cursor to resume behind, sent by browsers; wins over after",
    ),
]


@get(
    "/{uuid:uuid}/events",
    operation_id="streamPipelineEvents",
    summary="Follow a pipeline's events",
    media_type="text/event-stream",
    stream=True,
)
async def stream_events(
    state: ApiState,
    uuid: FromPath[UUID],
    after: After = 0,
    last_event_id: LastEventId = None,
) -> Response[Any]:
    """Server-sent events from the first one on, or from behind the one that the client names.

    The stream closes after ``event: end``; a client that has seen everything and comes back is answered 204.
    """
    place = after if last_event_id is None else last_event_id
    news, complete = await events.read(state.pool, uuid, place, 1)
    if complete and not news:
        return Response(None, status_code=204)
    return Stream(_frames(state.broadcaster, uuid, place, state.heartbeat_s), headers=HEADERS)


async def _frames(broadcaster: Broadcaster, uuid: UUID, after: int, heartbeat_s: float) -> AsyncIterator[bytes]:
    with broadcaster.subscribe(uuid, after) as subscription:
        yield RETRY
        while (frames := await broadcaster.take(subscription, heartbeat_s)) is not None:
            yield frames or HEARTBEAT


@get(
    "/api/v1/events",
    operation_id="streamEvents",
    summary="Follow the events of all pipelines",
    media_type="text/event-stream",
    stream=True,
    tags=["events"],
)
async def stream_all_events(
    state: ApiState,
    *,
    types: Types = None,
    status: Statuses = None,
    label: Labels = None,
    after: Cursor = None,
    last_event_id: LastCursor = None,
) -> Stream:
    """Server-sent events of all pipelines, from now on, from behind a cursor, or from the oldest one that is kept.

    An ``id:`` is a cursor. A client that resumes with it misses nothing and may get events again: an event is known by
    its ``source`` and ``id``. Those of one pipeline come in order. The stream has no end.
    """
    if unknown := set(types or ()) - TYPES:
        raise refused("type", f"is one of {', '.join(sorted(TYPES))}; there is no {quoted(min(unknown))}")
    wanted = Wanted(frozenset(types or ()), frozenset(status or ()), frozenset(labels(label or ())))
    bookmark = await events.begin(state.pool, after if last_event_id is None else last_event_id)
    return Stream(_all_frames(state.broadcaster.feed, bookmark, wanted, state.heartbeat_s), headers=HEADERS)


async def _all_frames(feed: Feed, bookmark: Bookmark, wanted: Wanted, heartbeat_s: float) -> AsyncIterator[bytes]:
    with feed.subscribe(bookmark, wanted) as follower:
        yield _place(follower.cursor) + RETRY
        while (frames := await feed.take(follower, heartbeat_s)) is not None:
            yield frames or _place(follower.cursor) + HEARTBEAT


def _place(cursor: str) -> bytes:
    """Where to resume, told without an event: browsers remember it all the same."""
    return b"id: %b\n" % cursor.encode()
