"""One client of the stream of all pipelines: what it wants, how far it has come, and what waits to be sent to it."""

from collections.abc import Sequence

from msgspec import Struct

from app.core.bookmark import Bookmark, cursor_at, write_cursor
from app.subscription import Outbox, frame
from schemas.event import PlacedEvent, Traits
from schemas.states import PipelineStatus


class Wanted(Struct, frozen=True):
    """The filter of a stream: one of the types, one of the statuses, all of the labels; empty ones let all pass."""

    types: frozenset[str] = frozenset()
    statuses: frozenset[PipelineStatus] = frozenset()
    labels: frozenset[tuple[str, str]] = frozenset()

    @property
    def asks_for_traits(self) -> bool:
        """Whether an event's type is not enough to tell."""
        return bool(self.statuses or self.labels)

    def takes(self, event_type: str, traits: Traits | None) -> bool:
        """Whether an event of such a pipeline belongs to the stream; None if nothing is known of the pipeline."""
        if self.types and event_type not in self.types:
            return False
        if traits is None:
            return not self.asks_for_traits
        return (not self.statuses or traits.status in self.statuses) and self.labels <= traits.labels.items()


class Follower(Outbox):
    """A client and its bookmark; ``alone`` while it reads for itself and does not yet follow with the others."""

    def __init__(self, bookmark: Bookmark, wanted: Wanted) -> None:
        super().__init__()
        self.bookmark = bookmark
        self.wanted = wanted
        self.alone = True

    @property
    def cursor(self) -> str:
        """Where to resume for whoever has been sent all that waited here."""
        return write_cursor(self.bookmark.floor)

    def give(self, found: Sequence[PlacedEvent], settled: int, *, complete: bool) -> None:
        """Let what the client lacks and wants of these wait for it, and move its bookmark behind them."""
        mine = [event for event in found if self.bookmark.lacks(event) and self.wanted.takes(event.event.type, event)]
        self.put(*(data for _, data in encoded(mine, settled)))
        self.bookmark.advance(found, settled, complete=complete)


def encoded(found: Sequence[PlacedEvent], settled: int) -> list[tuple[PlacedEvent, bytes]]:
    """Make a frame of each event, with the cursor that resumes behind it."""
    return [(event, frame(event.event, cursor_at(event, settled))) for event in found]
