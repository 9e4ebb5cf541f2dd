"""What a running stage reports: progress and metrics go to whoever watches and are kept, checkpoints are registered."""

import asyncio
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import structlog
from msgspec import Meta, Struct, field
from msgspec.structs import replace

from app.artifacts import attempt_directory
from app.core.pace import Pace
from app.db.pool import BAD_DATA
from app.errors import Unavailable
from app.log import Outage
from app.services import checkpoints, series, stages
from schemas.checkpoint import CheckpointReport
from schemas.event import LiveType
from schemas.series import MetricsReport
from schemas.stage import Progress
from schemas.states import CheckpointState
from workers import contract
from workers.heard import Heard
from workers.publish import LiveReports
from workers.resume import is_ours
from workers.room import Attempt, Room
from workers.series import NAMES_MAX, SeriesBuffer

INTERVAL_S = 1.0
NAME_CHARS_MAX = 128
INTEGER_MAX = 2**63 - 1
UNSTORABLE = (*BAD_DATA, ValueError)
"""What Postgres refuses, and what does not even get there: a lone surrogate."""
log = structlog.get_logger()


class ProgressLine(Struct):
    """``{"type": "progress", "step": 3, "total": 10, …}``."""

    step: float
    total: float
    epoch: Annotated[int, Meta(ge=-INTEGER_MAX, le=INTEGER_MAX)] | None = None
    eta_s: float | None = None


class CheckpointLine(Struct):
    """``{"type": "checkpoint", "path": …, "step": 120, "metrics": {…}}``; ``state`` and ``reason`` for other news."""

    path: str
    step: int | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    bytes: int = 0
    state: Literal["writing", "complete", "invalid"] = "complete"
    reason: str = ""


class Reporter:
    """Takes the lines of one attempt; senseless ones are left out, for reporting must not break a training."""

    def __init__(self, room: Room, attempt: Attempt, live: LiveReports) -> None:
        self.room = room
        self.claim = attempt.claim
        self.live = live
        self.heard = Heard(attempt)
        self._began = time.monotonic()
        self._progress: Progress | None = None
        self._pace = Pace()
        self._series = SeriesBuffer()
        self._checkpoints: dict[str, CheckpointReport] = {}
        self._flusher: asyncio.Task[None] | None = None
        self._outage = Outage(log, "reports_wait_for_postgres")
        self._closed = False
        self.cwd: Path | None = None
        """Where relative paths begin, if not in the directory of the attempt."""

    def take(self, line: dict[str, Any]) -> None:
        """Take one line of the run contract; what is said after the end is nobody's."""
        if self._closed:
            return
        try:
            self.heard.take(line)
            match line.get("type"):
                case "progress":
                    self._take_progress(msgspec.convert(line, ProgressLine))
                case "checkpoint":
                    self._take_checkpoint(msgspec.convert(line, CheckpointLine))
                case "metrics":
                    self._take_metrics(line)
                case _:
                    return
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            log.debug("report_ignored", error=str(error))
            return
        except Exception:
            log.exception("report_failed")
            return
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_later())

    def _take_progress(self, line: ProgressLine) -> None:
        share = line.step / line.total if line.total > 0 else math.nan
        if not (math.isfinite(share) and math.isfinite(line.total)):
            raise ValueError("progress is not a share of a whole")
        progress = min(1.0, max(0.0, share))
        self._pace.take(line.step, line.total, time.monotonic())
        told_s = line.eta_s if line.eta_s is not None and line.eta_s >= 0 else self._pace.eta_s
        how = {
            "step": line.step,
            "total": line.total,
            "steps_per_s": self._pace.steps_per_s,
            "eta_s": told_s if is_number(told_s) else None,
        }
        self._progress = Progress(self.claim.stage, self.claim.lease_token, progress, **how)
        self.live.put(self.claim, LiveType.STAGE_PROGRESS, {"progress": progress, "epoch": line.epoch, **how})

    def _take_checkpoint(self, line: CheckpointLine) -> None:
        found, state = numbers(line.metrics), CheckpointState(line.state)
        if line.step is None and state is not CheckpointState.INVALID:
            raise ValueError("a checkpoint has no step")
        reason = contract.clean(line.reason) or "its program found it invalid"
        held = self.claim.stage, self.claim.lease_token
        path = self._one_spelling(line.path)
        self._checkpoints.pop(path, None)  # what is said last about a path counts
        self._checkpoints[path] = CheckpointReport(*held, line.step or 0, path, found, line.bytes, state, reason)

    def _one_spelling(self, path: str) -> str:
        """Let one place have one name; what is no path but an address, as ``s3://…``, is left as it is."""
        if "://" in path or "\0" in path:
            return path
        if not path.startswith("/"):
            claim, data_dir = self.claim, self.room.settings.data_dir
            path = f"{self.cwd or attempt_directory(data_dir, claim.pipeline, claim.name, claim.attempt)}/{path}"
        return "/" + os.path.normpath(path).lstrip("/")  # POSIX leaves two slashes at the beginning

    def _take_metrics(self, line: dict[str, Any]) -> None:
        values = line.get("values", {name: value for name, value in line.items() if name not in {"type", "step"}})
        if not isinstance(values, dict):
            raise TypeError("what was measured has no names")
        found, step = numbers(values), short(line["step"]) if is_number(line.get("step")) else None
        if not found:
            raise ValueError("nothing that was measured is a number")
        self.live.put(self.claim, LiveType.STAGE_METRICS, {"step": step, "metrics": found})
        self._series.take(step, found, self.claim.started_at + time.monotonic() - self._began)

    async def close(self) -> None:
        """Pass on what is left, while the attempt still holds its stage."""
        self._closed = True
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.gather(self._flusher, return_exceptions=True)
            await self._flush_safely(everything=True)

    async def _flush_later(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self._flush_safely()

    async def _flush_safely(self, *, everything: bool = False) -> None:
        try:
            await self._flush()
            while everything and self._series and await self._write_series():
                pass
        except Exception:
            log.exception("reports_not_written")

    async def _flush(self) -> None:
        try:
            while self._checkpoints:
                path, report = next(iter(self._checkpoints.items()))
                await self._record(report)
                if self._checkpoints[path] is report:
                    del self._checkpoints[path]
            if self._progress is not None:
                progress, self._progress = self._progress, None
                await stages.report_progress(self.room.pool, [progress])
                self._outage.end()
        except Unavailable as error:
            self._outage.note(error)
        if self._series:
            await self._write_series()

    async def _record(self, report: CheckpointReport) -> None:
        try:
            if report.state is CheckpointState.INVALID:
                told = report.path, report.reason or ""
                await checkpoints.condemn(self.room.pool, report.stage, report.lease_token, *told)
            else:
                await checkpoints.record(self.room.pool, [await self._measured(report)])
            self._outage.end()
        except UNSTORABLE as error:
            log.warning("checkpoint_ignored", path=report.path, error=str(error))

    async def _measured(self, report: CheckpointReport) -> CheckpointReport:
        """With its true size, by which a torn one is known later; with none if its disk is away, to condemn nothing."""
        if not is_ours(self.room, report.path):
            return report
        try:
            size = await asyncio.to_thread(contract.size_of, Path(report.path))
        except OSError as error:
            log.warning("checkpoint_not_measured", path=report.path, error=str(error))
            size = 0
        return report if size is None else replace(report, bytes=size)

    async def _write_series(self) -> bool:
        """Write a part of the series, in one statement; False if that did not work."""
        reports = self._series.drain()
        try:
            await series.record(self.room.pool, MetricsReport(self.claim.stage, self.claim.lease_token, reports))
            self._outage.end()
        except Unavailable as error:
            self._outage.note(error)
            self._series.restore(reports)
            return False
        except BAD_DATA as error:  # its pipeline was deleted, or nobody knows what it wrote
            log.warning("metrics_ignored", error=str(error))
        return True


def numbers(values: Mapping[Any, Any]) -> dict[str, float]:
    """Those that are finite numbers under a name that can be shown: JSON and dashboards know no others."""
    found = [(str(name), short(value)) for name, value in values.items() if is_number(value) and is_name(str(name))]
    return dict(found[:NAMES_MAX])


def is_number(value: Any) -> bool:
    """Whether it is a finite number; JSON has integers of any size, and Python lets it have NaN."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def short(value: float) -> float:
    """The number as all JSON readers can read it: an integer of more than 64 bits becomes a float."""
    return value if abs(value) <= INTEGER_MAX else float(value)


def is_name(name: str) -> bool:
    """Whether it can name a metric."""
    return 0 < len(name) <= NAME_CHARS_MAX and name.isprintable()
