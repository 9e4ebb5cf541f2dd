"""Task types: what workers can run, as they register it and as the API validates against it."""

from typing import Any

from msgspec import Struct

from schemas.queue import Queue, Slot

BUILT_IN_TASKS = frozenset(
    {"preprocess_dataset", "train_model", "run_evaluation", "cleanup_checkpoints", "run_command", "noop"},
)
"""The tasks that every worker of this version can run; whoever plugs in more has workers that know them."""


class TaskType(Struct, frozen=True):
    """A registered task. ``params_schema`` and ``result_schema`` are JSON Schemas of its Structs."""

    name: str
    queue: Queue
    slot: Slot
    version: str
    params_schema: dict[str, Any]
    result_schema: dict[str, Any]
