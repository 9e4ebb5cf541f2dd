"""The machine: its memory, its disks, and whoever may take it away."""

from app.core.diagnosis.rule import Reach, rule
from schemas.diagnosis import Category

_ANYWHERE, _LAST = Reach.ANYWHERE, Reach.LAST
_SHM = "/dev/shm"  # noqa: S108 - a name to look for
_DISK = "Make room on the disk of {path}, and check what was written there last for completeness."

RULES = (
    rule(
        Category.HOST_OOM_KILL,
        r"Memory cgroup out of memory: Kill|Out of memory: Killed process|Detected \d+ oom[-_ ]kill|\bOOM ?Killed\b"
        r"|oom_reaper: reaped process|\bOUT_OF_MEMORY\b",
        "out of memory: kill",
        "oom",
        "out_of_memory",
        reach=_ANYWHERE,
    ),
    rule(
        Category.WALL_TIMEOUT,
        r"DUE TO TIME LIMIT|DeadlineExceeded",
        "due to time limit",
        "deadlineexceeded",
        reach=_ANYWHERE,
    ),
    rule(
        Category.PREEMPTED,
        r"DUE TO PREEMPTION|PreemptionByScheduler|EvictionByEvictionAPI|TerminationByKubelet",
        "due to preemption",
        "preemptionbyscheduler",
        "evictionbyevictionapi",
        "terminationbykubelet",
        reach=_ANYWHERE,
    ),
    rule(
        Category.NODE_LOST,
        r"DUE TO NODE FAIL|\bNODE_FAIL\b|\bNodeLost\b",
        "due to node fail",
        "node_fail",
        "nodelost",
        reach=_ANYWHERE,
    ),
    rule(
        Category.CANNOT_START,
        r"\bImagePullBackOff\b|\bErrImagePull\b|\bUnschedulable\b|\bBOOT_FAIL\b|\bLAUNCH_FAILED\b"
        r"|RUNTIME_ENV_SETUP_FAILED|can't start new thread|Resource temporarily unavailable",
        "imagepull",
        "unschedulable",
        "boot_fail",
        "launch_failed",
        "runtime_env_setup_failed",
        "start new thread",
        "resource temporarily unavailable",
    ),
    rule(
        Category.SHM_EXHAUSTED,
        r"killed by signal: Bus error|insufficient shared memory|unable to (?:open|mmap|allocate"
        r"|write)[^\n]{0,40}shared"
        rf"|{_SHM}[^\n]{{0,60}}No space left|No space left on device[^\n]{{0,40}}{_SHM}"
        rf"|shared memory[^\n]{{0,40}}No space",
        "bus error",
        "shared",
        _SHM,
        reach=_ANYWHERE,
    ),
    rule(
        Category.DISK_FULL,
        r"No space left on device(?:: '(?P<path>[^']+)')?",
        "no space left on device",
        reach=_ANYWHERE,
        remedy=_DISK,
    ),
    rule(
        Category.DISK_FULL,
        r"Disk quota exceeded|\bdisk is full\b|\bEDQUOT\b",
        "disk quota exceeded",
        "disk is full",
        "edquot",
        reach=_ANYWHERE,
    ),
    rule(
        Category.DISK_FULL,
        r"PytorchStreamWriter failed|\bunable to sync\b|\[Errno 27\]|\bFile too large\b"
        r"|low on resource: ephemeral-storage",
        "pytorchstreamwriter failed",
        "unable to sync",
        "[errno 27]",
        "file too large",
        "ephemeral-storage",
    ),
    rule(
        Category.HOST_OOM_SOFT,
        r"java\.lang\.OutOfMemoryError|\bout of memory, malloc failed",
        "outofmemoryerror",
        "malloc failed",
        reach=_ANYWHERE,
    ),
    rule(
        Category.HOST_OOM_SOFT,
        r"MemoryError\b|std::bad_alloc|\[Errno 12\]|Cannot allocate memory"
        r"|DefaultCPUAllocator: (?:can't|not enough)",
        "memoryerror",
        "bad_alloc",
        "[errno 12]",
        "cannot allocate memory",
        "defaultcpuallocator",
    ),
    rule(
        Category.HOST_OOM_SOFT,
        r"terminate called after throwing an instance of 'std::bad_alloc'|memory allocation of \d+ bytes failed"
        r"|fork: Cannot allocate memory",
        "bad_alloc",
        "memory allocation of",
        "fork: cannot allocate",
        reach=_ANYWHERE,
    ),
    rule(
        Category.HOST_OOM_SOFT,
        r": Cannot allocate memory$|: out of memory$",
        "allocate memory",
        "out of memory",
        reach=_LAST,
    ),
)
