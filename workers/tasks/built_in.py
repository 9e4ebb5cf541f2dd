"""The built-in tasks. Importing them is light: what a training needs is imported in its own process."""

from workers.tasks.cleanup_checkpoints import CLEANUP_CHECKPOINTS
from workers.tasks.declaration import Task
from workers.tasks.noop import NOOP
from workers.tasks.preprocess_dataset import PREPROCESS_DATASET
from workers.tasks.run_command import RUN_COMMAND
from workers.tasks.run_evaluation import RUN_EVALUATION
from workers.tasks.train_model import TRAIN_MODEL

BUILT_IN: dict[str, Task] = {
    task.name: task
    for task in (PREPROCESS_DATASET, TRAIN_MODEL, RUN_EVALUATION, CLEANUP_CHECKPOINTS, RUN_COMMAND, NOOP)
}
