"""An unmodified script with Hugging Face's Trainer reports its progress by itself.

``HEADWAY_TEST_HUGGINGFACE`` names a Python that has transformers (5.23 or newer), accelerate and torch, on a CPU.
"""

import os
from pathlib import Path

import pytest

from tests.support.installation import Headway, stage_of

PYTHON = os.environ.get("HEADWAY_TEST_HUGGINGFACE", "")
SCRIPT = Path(__file__).parents[1] / "support" / "hugging_face.py"
STEPS = 300

pytestmark = [
    pytest.mark.skipif(not PYTHON, reason="HEADWAY_TEST_HUGGINGFACE names no Python with transformers and torch"),
    pytest.mark.timeout(600),
]


async def test_a_hugging_face_trainer_reports_progress_loss_and_time_to_go_without_a_change(headway: Headway):
    pipeline = await headway.submit(
        {"name": "train", "task": "run_command", "params": {"argv": [PYTHON, str(SCRIPT), str(STEPS)]}}
    )
    events = await headway.history(pipeline, within_s=500)
    ended = await headway.get(pipeline)

    assert ended.status == "completed", ended.error
    told = [event.data for event in events if event.type == "stage.progress"]
    assert told[0]["progress"] == 0
    assert (told[-1]["step"], told[-1]["total"], told[-1]["progress"]) == (STEPS, STEPS, 1)
    task_id = stage_of(ended, "train").task_id
    series = {each.name: each.points for each in (await headway.tasks.metrics(task_id)).items}
    assert {"train_loss", "train_runtime"} <= series.keys()
    assert series["train_loss"][-1][0] == STEPS
    assert 0 < (await headway.tasks.get(task_id)).loss < 10
