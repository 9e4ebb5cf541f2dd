"""``/api/v1/pipelines/{uuid}/events``: the events of one pipeline as a stream, complete, in order, resumable."""

from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get
from litestar.params import FromPath, HeaderParameter, QueryParameter
from litestar.response import Stream

from app.api.state import ApiState
from app.broadcast import Broadcaster
from app.services import events

SEQ_MAX = 2**31 - 1
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
RETRY = b"retry: 2000\n\n"
HEARTBEAT = b": heartbeat\n\n"

After = Annotated[int, QueryParameter(ge=0, le=SEQ_MAX, description="resume behind the event with this id")]
LastEventId = Annotated[
    int | None,
    HeaderParameter(name="Last-Event-ID", ge=0, le=SEQ_MAX, description="the same, sent by browsers; wins over after"),
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
