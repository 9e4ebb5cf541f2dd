"""One client of the stream of all pipelines: what it wants, how far it has come, and what waits to be sent to it."""

from collections.abc import Sequence

from msgspec import Struct

from app.core.bookmark import Bookmark, cursor_at, write_cursor
from app.subscription import Outbox, frame
from schemas.event import PlacedEvent, Traits
from schemas.states import PipelineStatus

Told = tuple[str, Traits | None, bytes]
"""A frame, with the type of its event and what is known of the pipeline."""


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
        self.put(*(data for _, _, data in encoded(mine, settled)))
        self.bookmark.advance(found, settled, complete=complete)


class Audience:
    """Followers that get the same things at the same time, sorted by what they want: each filter is applied once."""

    def __init__(self) -> None:
        self._by_filter: dict[Wanted, set[Follower]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_filter)

    @property
    def asks_for_traits(self) -> bool:
        """Whether somebody here has to know more of an event than its type."""
        return any(wanted.asks_for_traits for wanted in self._by_filter)

    def add(self, follower: Follower) -> None:
        """Let it have what the others get from now on."""
        self._by_filter.setdefault(follower.wanted, set()).add(follower)

    def discard(self, follower: Follower) -> None:
        """Let it have nothing any more."""
        followers = self._by_filter.get(follower.wanted, set())
        followers.discard(follower)
        if not followers:
            self._by_filter.pop(follower.wanted, None)

    def put(self, told: Sequence[Told]) -> list[Follower]:
        """Let these wait for everybody who wants them; returns the followers that had no room for theirs."""
        without_room = []
        for wanted, followers in self._by_filter.items():
            frames = [data for event_type, traits, data in told if wanted.takes(event_type, traits)]
            for follower in followers if frames else ():
                if follower.has_room:
                    follower.put(*frames)
                else:
                    without_room.append(follower)
        return without_room


def encoded(found: Sequence[PlacedEvent], settled: int) -> list[Told]:
    """Make a frame of each event, with the cursor that resumes behind it."""
    return [(event.event.type, event, frame(event.event, cursor_at(event, settled))) for event in found]
