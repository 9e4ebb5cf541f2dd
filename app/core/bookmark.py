"""How far a reader of the events of all pipelines has come, and how that is told to a client.

Events are read as soon as they are committed. Their places do not follow the order of the commits: while a transaction
is under way, an event may still appear before others that have been read. Only below the settled place
(``migrations/0002``) that is over. So a bookmark has two parts: a ``floor``, up to which the reader has had everything
that there will ever be, and for the pipelines of which it has had events above the floor, how far it has come in each
(``ahead``). That is enough, because a pipeline's own events appear in order and without gaps.

A client is told the floor alone, as its cursor. That is short and stays true for ever. Resuming there repeats what was
ahead, which is a few milliseconds' worth, or as much as happened since the oldest transaction of the database began.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from schemas.event import PlacedEvent

Key = tuple[int, int, int]
"""Place, pipeline, number: the order in which all events are read."""

BEGIN: Key = (0, 0, 0)
KEY_MAX: Key = (2**63 - 1, 2**63 - 1, 2**31 - 1)


class Bookmark(Struct):
    """What a reader has had; ``ahead`` holds the number and the place of each pipeline's last event above ``floor``."""

    floor: Key = BEGIN
    ahead: dict[int, tuple[int, int]] = {}

    def lacks(self, event: PlacedEvent) -> bool:
        """Whether the reader has not had this event yet."""
        return event.key > self.floor and event.seq > self.ahead.get(event.pipeline_id, (0, 0))[0]

    def advance(self, found: Sequence[PlacedEvent], settled: int, *, complete: bool) -> None:
        """The reader has now had these too: all that it lacked, or, if not ``complete``, the first of them."""
        for event in found:
            if self.lacks(event):
                self.ahead[event.pipeline_id] = event.seq, event.place
        reached = (settled, 0, 0) if complete else min(found[-1].key, (settled, 0, 0))
        self.floor = max(self.floor, reached)
        self.ahead = {pipeline: last for pipeline, last in self.ahead.items() if last[1] >= self.floor[0]}

    def copy(self) -> "Bookmark":
        """Another one at the same place."""
        return Bookmark(self.floor, dict(self.ahead))


def common(bookmarks: Iterable[Bookmark]) -> Bookmark:
    """What several readers have all had, so that one query brings what any of them lacks."""
    first, *others = bookmarks
    found = first.copy()
    for other in others:
        found.floor = min(found.floor, other.floor)
        found.ahead = {
            pipeline: min(last, other.ahead[pipeline])
            for pipeline, last in found.ahead.items()
            if pipeline in other.ahead
        }
    return found


def cursor_at(event: PlacedEvent, settled: int) -> str:
    """What to tell a client with an event, which has had all that was found before it."""
    return write_cursor(min(event.key, (settled, 0, 0)))


def write_cursor(floor: Key) -> str:
    """Spell a floor so that nobody reads more into it."""
    return urlsafe_b64encode(msgspec.msgpack.encode(floor)).decode().rstrip("=")


def read_cursor(cursor: str) -> Key | None:
    """Read what ``write_cursor`` wrote; None if it did not write this."""
    try:
        floor = msgspec.msgpack.decode(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=Key)
    except (ValueError, msgspec.DecodeError):
        return None
    return floor if write_cursor(floor) == cursor and all(map(_within, BEGIN, floor, KEY_MAX)) else None


def _within(low: int, number: int, high: int) -> bool:
    return low <= number <= high
