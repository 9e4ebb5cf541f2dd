"""``preprocess_dataset``: validate a table, remove duplicates, split it."""

from schemas.queue import Queue, Slot
from schemas.training import PreprocessParams, PreprocessResult
from workers.tasks.declaration import Task, module_argv

PREPROCESS_DATASET = Task(
    name="preprocess_dataset",
    queue=Queue.PREPROCESSING,
    slot=Slot.PROCESS,
    params=PreprocessParams,
    result=PreprocessResult,
    argv=lambda _params: module_argv("workers.training.preprocess"),
)
