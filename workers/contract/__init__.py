"""Run contract v1: what a stage's process is given, and what its worker reads from it.

In: an environment of its own (``prepare``). Out: JSON Lines in the file that ``HEADWAY_EVENTS`` names (``EventTail``),
an exit code, and perhaps an error file. SIGTERM asks it to write a checkpoint and to leave with exit code 85. What all
of that amounts to is the business of ``conclude``. Nothing here trusts a stage: every read is bounded, and nothing that
Postgres could not store goes on. The process's own side is ``workers/training/run.py``.
"""

from workers.contract.checkpoints import fault_of, size_of
from workers.contract.conclusion import EXIT_RESUMABLE, conclude
from workers.contract.environment import stage_env_names
from workers.contract.reports import ERROR_MESSAGE_CHARS_MAX, TRACEBACK_CHARS_MAX, EventTail, read_error_file, tail_log
from workers.contract.run import Run, make_directory, prepare
from workers.contract.storable import check_result, clean

__all__ = [
    "ERROR_MESSAGE_CHARS_MAX",
    "EXIT_RESUMABLE",
    "TRACEBACK_CHARS_MAX",
    "EventTail",
    "Run",
    "check_result",
    "clean",
    "conclude",
    "fault_of",
    "make_directory",
    "prepare",
    "read_error_file",
    "size_of",
    "stage_env_names",
    "tail_log",
]
