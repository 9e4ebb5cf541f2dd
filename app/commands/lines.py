"""The story of a pipeline where there is no terminal: a line per change of state, and one per quarter of a stage."""

from app.commands.terminal import print_line
from app.commands.wording import fraction, metrics_text, reason
from schemas.event import Event, EventType, LiveType

_QUARTER = 25
_NO_MORE = 100


class Lines:
    """Prints events as lines: time, who, what, why."""

    def __init__(self) -> None:
        self._metrics: dict[str | None, str] = {}
        self._quarters: dict[str | None, int] = {}

    def show(self, event: Event) -> None:
        """Print one event, if it is worth a line."""
        if text := self._text(event):
            print_line(f"{event.time.astimezone():%H:%M:%S} {event.subject or 'pipeline'} {text}")

    def _text(self, event: Event) -> str | None:
        if event.id is not None:
            # A report may come after the end of its stage, and is no news then.
            self._quarters[event.subject] = 0 if event.type == EventType.STAGE_STARTED else _NO_MORE
            return told(event)
        if event.type == LiveType.STAGE_METRICS:
            self._metrics[event.subject] = metrics_text(event.data)
        elif event.type == LiveType.STAGE_PROGRESS:
            return self._progress(event)
        return None

    def _progress(self, event: Event) -> str | None:
        percent = int(100 * (fraction(event.data) or 0))
        if percent // _QUARTER <= self._quarters.get(event.subject, 0):
            return None
        self._quarters[event.subject] = percent // _QUARTER
        return f"{percent} % {self._metrics.get(event.subject, '')}".rstrip()


def told(event: Event) -> str:
    """A durable event in a few words."""
    attempt = event.data.get("attempt", 1)
    again = f" (attempt {attempt})" if attempt > 1 else ""
    why = f": {message}" if (message := reason(event)) else ""
    return f"{event.type.partition('.')[2]}{again}{why}"
