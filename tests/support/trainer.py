"""Trains in a Hugging Face Trainer's way: reports by HTTP what its KubeflowCallback does, byte for byte, and no more.

Nothing here knows of Headway. The real thing is in ``tests/fundamentals/test_hugging_face.py``.
"""

import json
import os
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

STEPS = 4


def update(progress, remaining_s, metrics):
    token = Path(os.environ["KUBEFLOW_TRAINER_SERVER_TOKEN"]).read_text("utf-8").strip()
    status = {"lastUpdatedTime": datetime.now(UTC).isoformat(), "progressPercentage": progress}
    if remaining_s is not None:
        status["estimatedRemainingSeconds"] = remaining_s
    if metrics:
        status["metrics"] = [{"name": name, "value": str(value)} for name, value in metrics.items()]
    request = urllib.request.Request(
        os.environ["KUBEFLOW_TRAINER_SERVER_URL"],
        data=json.dumps({"trainerStatus": status}).encode("utf-8"),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=5, context=None) as answer:
        return answer.status == 200


told = [update(0, None, {"total_steps": STEPS})]
for step in range(1, STEPS + 1):
    measured = {"loss": 1 / step, "learning_rate": 5e-05}
    where = {"current_step": step, "total_steps": STEPS, "current_epoch": step / STEPS}
    told.append(update(min(99, 100 * step // STEPS), 30 * (STEPS - step), {**measured, **where}))
    if len(sys.argv) > 1 and step == int(sys.argv[2]):
        Path(sys.argv[1]).read_text()  # a named pipe: wait until the test has looked
told.append(update(100, 0, {"loss": 1 / STEPS, "train_runtime": 1.5}))
sys.exit(0 if all(told) else 1)
