"""Why a stage waits."""

from uuid import UUID

import pytest

from app.core.waiting import waiting_reason
from schemas.queue import Queue
from schemas.stage import Stage
from schemas.states import PipelineStatus, StageStatus

RUNNING, PAUSED, PENDING = PipelineStatus.RUNNING, PipelineStatus.PAUSED, PipelineStatus.PENDING


def a_stage(status, *depends_on):
    known = dict.fromkeys(Stage.__struct_fields__)
    told = {"status": StageStatus(status), "depends_on": list(depends_on), "queue": Queue.TRAINING}
    return Stage(**known | told | {"name": "a", "task_id": UUID(int=1)})


@pytest.mark.parametrize(
    ("stage", "ended", "pipeline", "paused", "reason"),
    [
        (a_stage("pending", "x", "y"), {"x"}, RUNNING, (), "waits for y"),
        (a_stage("pending", "x", "y"), set(), PAUSED, (), "waits for x, y"),
        (a_stage("pending", "x"), set(), PENDING, (), "the pipeline has not been started"),
        (a_stage("queued"), set(), RUNNING, (Queue.DEFAULT,), "waits for a free slot on the queue training"),
        (a_stage("queued"), set(), RUNNING, (Queue.TRAINING,), "the queue training is paused"),
        (a_stage("queued"), set(), PAUSED, (Queue.TRAINING,), "the pipeline is paused"),
        (a_stage("retrying"), set(), RUNNING, (), "waits for its next attempt"),
        *((a_stage(status), set(), RUNNING, (), None) for status in ("running", "completed", "failed", "cancelled")),
    ],
)
def test_what_waits_says_why(stage, ended, pipeline, paused, reason):
    assert waiting_reason(stage, ended, pipeline, paused) == reason
