"""Run contract v1: what a stage's process is given, and what its worker reads from it.

In: an environment of its own (``prepare``). Out: JSON Lines in the file that ``HEADWAY_EVENTS`` names (``EventTail``),
an exit code, and perhaps an error file. SIGTERM asks it to write a checkpoint and to leave with exit code 85. What all
of that amounts to is the business of ``conclude``. Nothing here trusts a stage: every read is bounded, and nothing that
Postgres could not store goes on. The process's own side is ``workers/training/run.py``.
"""

from workers.contract.conclusion import EXIT_RESUMABLE, conclude
from workers.contract.environment import stage_env_names
from workers.contract.reports import EventTail, read_error_file, tail_log
from workers.contract.run import Run, prepare
from workers.contract.storable import check_result

__all__ = [
    "EXIT_RESUMABLE",
    "EventTail",
    "Run",
    "check_result",
    "conclude",
    "prepare",
    "read_error_file",
    "stage_env_names",
    "tail_log",
]
