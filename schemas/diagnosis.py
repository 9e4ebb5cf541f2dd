"""Diagnoses: why an attempt failed, in words that programs and people can act on. What they mean: docs/diagnosis.md."""

from enum import StrEnum

from msgspec import Struct, field


class Category(StrEnum):
    """What went wrong. The order is the one of ``app/core/diagnosis/categories.py`` and of the documentation."""

    GPU_OOM = "gpu_oom"
    HOST_OOM_KILL = "host_oom_kill"
    HOST_OOM_SOFT = "host_oom_soft"
    SHM_EXHAUSTED = "shm_exhausted"
    SIGKILL_UNCONFIRMED = "sigkill_unconfirmed"
    COLLECTIVE_TIMEOUT = "collective_timeout"
    RENDEZVOUS_FAILURE = "rendezvous_failure"
    GPU_HARDWARE = "gpu_hardware"
    CUDA_RUNTIME = "cuda_runtime"
    GPU_UNAVAILABLE = "gpu_unavailable"
    NAN_LOSS = "nan_loss"
    DIVERGENCE = "divergence"
    BAD_SAMPLE = "bad_sample"
    MISSING_FILE = "missing_file"
    PERMISSION = "permission"
    DISK_FULL = "disk_full"
    CHECKPOINT_CORRUPT = "checkpoint_corrupt"
    CHECKPOINT_MISMATCH = "checkpoint_mismatch"
    PREEMPTED = "preempted"
    NODE_LOST = "node_lost"
    WORKER_SHUTDOWN = "worker_shutdown"
    WALL_TIMEOUT = "wall_timeout"
    HANG_NO_PROGRESS = "hang_no_progress"
    STARTUP_STALL = "startup_stall"
    IMPORT_ERROR = "import_error"
    COMMAND_NOT_FOUND = "command_not_found"
    BAD_ARGUMENTS = "bad_arguments"
    USER_EXCEPTION = "user_exception"
    NATIVE_CRASH = "native_crash"
    NETWORK_FLAKE = "network_flake"
    CANNOT_START = "cannot_start"
    CANCELLED = "cancelled"
    ORCHESTRATOR_BUG = "orchestrator_bug"
    UNKNOWN = "unknown"


class Domain(StrEnum):
    """Whose fault it is."""

    WORKLOAD = "workload"
    """The program, its parameters or its data."""
    INFRA = "infra"
    """The machine, the network, the storage, or whoever runs them."""
    UNKNOWN = "unknown"
    """Either; what is known does not say."""


class Outlook(StrEnum):
    """What another attempt has to hope for. It is shown, and decides nothing."""

    NEVER = "never"
    """It would end in the same way: the program, its parameters or its environment have to change first."""
    CHANGED = "changed"
    """It may succeed once what the remedy says has been done."""
    SAME = "same"
    """It may succeed as it is."""
    ELSEWHERE = "elsewhere"
    """It may succeed on another machine."""
    FREE = "free"
    """It was interrupted; the next attempt goes on, and costs no retry."""
    UNKNOWN = "unknown"
    """Nothing is known about that."""


class Facts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of an attempt besides its error and its log, kept so that it can be diagnosed again.

    Seconds are of the attempt's own time. A loss that is not finite is null. ``silent_s`` is the time since the last
    progress or metrics; ``spoke`` says whether it has reported anything at all.
    """

    ran_s: float | None = None
    spoke: bool = False
    step: float | None = None
    progress: float | None = None
    losses: list[float | None] = field(default_factory=list)
    silent_s: float | None = None
    oom_kills: int = 0
    final: bool = False
    """Whether the program said itself that another attempt is of no use."""


class Diagnosis(Struct, frozen=True, kw_only=True):
    """Why an attempt failed.

    ``root_line`` is the line that the verdict rests on, null where it rests on facts alone; ``cascades`` are later
    lines that only follow from it. Failures with the same ``fingerprint`` are of one kind. ``category`` is a word of
    ``Category``, or of a newer version's.
    """

    category: str
    domain: Domain
    outlook: Outlook
    remedy: str
    fingerprint: str
    rule_version: int
    root_line: str | None = None
    cascades: list[str] = field(default_factory=list)
    facts: Facts = field(default_factory=Facts)
