"""``train_model``: the reference trainer, or the user's own program."""

from schemas.queue import Queue, Slot
from schemas.training import TrainParams, TrainResult
from workers.tasks.declaration import Task, module_argv


def argv(params: TrainParams) -> list[str]:
    """Return the user's command line if there is one."""
    return params.entrypoint or module_argv("workers.training.train")


TRAIN_MODEL = Task(
    name="train_model",
    queue=Queue.TRAINING,
    slot=Slot.PROCESS,
    params=TrainParams,
    result=TrainResult,
    argv=argv,
)
