"""Tasks: what people who write their own import, and nothing else; it is light, and it never brings the service.

The built-in ones are in ``built_in.py``; how the others are found is ``workers/plug_ins.py``; the how-to is
``docs/tasks.md``.
"""

from schemas.queue import Queue, Slot
from workers.tasks.context import TaskContext
from workers.tasks.declaration import Task
from workers.tasks.decorator import task
from workers.training.run import NotRetryable

__all__ = ["NotRetryable", "Queue", "Slot", "Task", "TaskContext", "task"]
