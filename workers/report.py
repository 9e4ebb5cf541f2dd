"""What a running stage reports: progress and metrics go to whoever watches, checkpoints into their table."""

import asyncio
import math
from typing import Any

import msgspec
import structlog
from msgspec import Struct, field

from app.db.pool import BAD_DATA
from app.errors import Unavailable
from app.services import checkpoints, stages
from schemas.checkpoint import CheckpointReport
from schemas.event import LiveType
from schemas.stage import Progress
from workers.publish import LiveReports
from workers.room import Attempt, Room

INTERVAL_S = 1.0
METRICS_MAX = 256
log = structlog.get_logger()


class ProgressLine(Struct):
    """``{"type": "progress", "step": 3, "total": 10, …}``."""

    step: float
    total: float
    epoch: int | None = None
    eta_s: float | None = None


class CheckpointLine(Struct):
    """``{"type": "checkpoint", "path": …, "step": 120, "metrics": {…}}``."""

    path: str
    step: int
    metrics: dict[str, Any] = field(default_factory=dict)
    bytes: int = 0


class Reporter:
    """Takes the lines of one attempt; senseless ones are left out, for reporting must not break a training."""

    def __init__(self, room: Room, attempt: Attempt, live: LiveReports) -> None:
        self.room = room
        self.claim = attempt.claim
        self.live = live
        self._progress: float | None = None
        self._checkpoints: list[CheckpointReport] = []
        self._flusher: asyncio.Task[None] | None = None
        self._closed = False

    def take(self, line: dict[str, Any]) -> None:
        """Take one line of the run contract; what is said after the end is nobody's."""
        if self._closed:
            return
        try:
            match line.get("type"):
                case "progress":
                    self._take_progress(msgspec.convert(line, ProgressLine))
                case "checkpoint":
                    self._take_checkpoint(msgspec.convert(line, CheckpointLine))
                case "metrics":
                    self.live.put(self.claim, LiveType.STAGE_METRICS, {"metrics": numbers(line)})
                case _:
                    return
        except (msgspec.ValidationError, ValueError) as error:
            log.debug("report_ignored", error=str(error))
            return
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_later())

    def _take_progress(self, line: ProgressLine) -> None:
        share = line.step / line.total if line.total > 0 else math.nan
        if not math.isfinite(share):
            raise ValueError("progress is not a share of a whole")
        self._progress = min(1.0, max(0.0, share))
        shown = {"step": line.step, "total": line.total, "epoch": line.epoch, "eta_s": line.eta_s}
        self.live.put(self.claim, LiveType.STAGE_PROGRESS, {"progress": self._progress, **shown})

    def _take_checkpoint(self, line: CheckpointLine) -> None:
        found = numbers(line.metrics)
        report = CheckpointReport(self.claim.stage, self.claim.lease_token, line.step, line.path, found, line.bytes)
        self._checkpoints.append(report)

    async def close(self) -> None:
        """Pass on what is left, while the attempt still holds its stage."""
        self._closed = True
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.gather(self._flusher, return_exceptions=True)
            await self._flush()

    async def _flush_later(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self._flush()

    async def _flush(self) -> None:
        try:
            while self._checkpoints:
                await checkpoints.record(self.room.pool, self._checkpoints[:1])
                del self._checkpoints[:1]
            if self._progress is not None:
                progress, self._progress = self._progress, None
                await stages.report_progress(
                    self.room.pool, [Progress(self.claim.stage, self.claim.lease_token, progress)]
                )
        except Unavailable as error:
            log.warning("report_waits_for_postgres", error=str(error))
        except BAD_DATA as error:
            log.warning("checkpoint_ignored", path=self._checkpoints.pop(0).path, error=str(error))


def numbers(line: dict[str, Any]) -> dict[str, float]:
    """The finite numbers of a line, wherever it keeps them: JSON and dashboards know no others."""
    values = line.get("values", line)
    return {
        str(name): value
        for name, value in list(values.items())[:METRICS_MAX]
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
