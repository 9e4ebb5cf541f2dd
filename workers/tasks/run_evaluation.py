"""``run_evaluation``: score a checkpoint on a split of a prepared dataset."""

from schemas.queue import Queue, Slot
from schemas.training import EvaluationParams, EvaluationResult
from workers.tasks.declaration import Task, module_argv

RUN_EVALUATION = Task(
    name="run_evaluation",
    queue=Queue.EVALUATION,
    slot=Slot.PROCESS,
    params=EvaluationParams,
    result=EvaluationResult,
    argv=lambda _params: module_argv("workers.training.evaluate"),
)
