"""The picture of a pipeline while it runs, drawn from its events: a live table with a row per stage."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.commands.terminal import one_line
from app.commands.wording import duration, fraction, metrics_text, reason
from schemas.event import Event, LiveType
from schemas.pipeline import Pipeline
from schemas.states import STAGE_TERMINAL, StageStatus

_LOOKS = {
    StageStatus.PENDING: ("·", "dim"),
    StageStatus.QUEUED: ("○", "cyan"),
    StageStatus.RUNNING: ("▶", "bold blue"),
    StageStatus.RETRYING: ("↻", "yellow"),
    StageStatus.COMPLETED: ("✓", "green"),
    StageStatus.FAILED: ("✗", "bold red"),
    StageStatus.SKIPPED: ("↷", "dim"),
    StageStatus.CANCELLED: ("■", "magenta"),
}
_BAR_WIDTH = 16


@dataclass
class Row:
    """What is known of one stage."""

    task: str
    status: StageStatus = StageStatus.PENDING
    attempt: int = 0
    progress: float | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    latest: str = ""

    def elapsed_s(self) -> float | None:
        """Seconds in the present attempt, or in the last one."""
        if self.started_at is None:
            return None
        return max(0.0, ((self.finished_at or datetime.now(UTC)) - self.started_at).total_seconds())


@dataclass
class Board:
    """The stages of one pipeline, kept up to date by ``apply``; rich draws it."""

    name: str
    rows: dict[str, Row] = field(default_factory=dict)

    @classmethod
    def of(cls, pipeline: Pipeline) -> "Board":
        """Make an empty picture; the events from the first one on will fill it."""
        return cls(pipeline.name, {stage.name: Row(stage.task) for stage in pipeline.stages})

    def apply(self, event: Event) -> None:
        """Take in one event."""
        row = self.rows.get(event.subject or "")
        if row is None:
            return
        if event.type == LiveType.STAGE_PROGRESS:
            row.progress = fraction(event.data)
        elif event.type == LiveType.STAGE_METRICS:
            row.latest = metrics_text(event.data) or row.latest
        elif event.id is not None:
            self._change(row, StageStatus(_status(event)), event)

    @staticmethod
    def _change(row: Row, status: StageStatus, event: Event) -> None:
        row.status = status
        row.attempt = event.data.get("attempt", row.attempt)
        if status is StageStatus.RUNNING:
            row.started_at, row.finished_at, row.progress = event.time, None, None
        elif status in STAGE_TERMINAL or status is StageStatus.RETRYING:
            row.finished_at = event.time
        if status is StageStatus.COMPLETED:
            row.progress = 1.0
        elif message := reason(event):
            row.latest = message

    def __rich__(self) -> Table:
        """Draw one row per stage."""
        table = Table(
            title=Text(one_line(self.name)), title_justify="left", title_style="bold", box=None, pad_edge=False
        )
        table.add_column("stage", no_wrap=True)
        table.add_column("status", no_wrap=True)
        table.add_column("progress", width=_BAR_WIDTH)
        table.add_column("attempt", justify="right", no_wrap=True)
        table.add_column("elapsed", justify="right", no_wrap=True, min_width=8)
        # The only one that may be cut: where a column may not wrap, rich cuts all of them.
        table.add_column("latest")
        for name, row in self.rows.items():
            glyph, style = _LOOKS[row.status]
            bar = ProgressBar(total=1.0, completed=row.progress or 0.0, width=_BAR_WIDTH)
            table.add_row(
                Text(name),
                Text(f"{glyph} {row.status}", style=style),
                bar if row.status in {StageStatus.RUNNING, StageStatus.COMPLETED} else "",
                str(row.attempt or ""),
                duration(row.elapsed_s()),
                Text(one_line(row.latest), no_wrap=True, overflow="ellipsis"),
            )
        return table


def _status(event: Event) -> str:
    word = event.type.partition(".")[2]
    return StageStatus.RUNNING if word == "started" else word
