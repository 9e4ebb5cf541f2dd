"""The events of all pipelines, as one stream without end."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

import msgspec

from app.client.http import Http, pairs
from app.client.stream import follow
from schemas.event import Event, SeenEvent
from schemas.states import PipelineStatus


class Events:
    """``client.events``."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def watch(
        self,
        *,
        after: str | None = None,
        types: Sequence[str] = (),
        status: Sequence[PipelineStatus] = (),
        labels: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[SeenEvent]:
        """Yield what happens from now on, or behind the cursor ``after``, or all that is kept after ``begin``.

        Reconnects where the stream was cut. An event that has an id comes at least once, those of a pipeline in order.
        Raises as ``app.client.stream.follow``.
        """
        query = pairs({"type": types, "status": status, "label": [f"{k}:{v}" for k, v in (labels or {}).items()]})
        async with aclosing(follow(self._http, "/api/v1/events", query, after=after)) as messages:
            async for message in messages:
                yield SeenEvent(message.id, msgspec.json.decode(message.data, type=Event))
