"""The categories as data: whose fault, what another attempt has to hope for, what it is, and what to do about it.

Where a rule knows more it says so; these are the words that hold whenever nothing more is known. ``never`` is said only
where the evidence itself proves it.
"""

from typing import NamedTuple

from schemas.diagnosis import Category, Domain, Outlook

_WORKLOAD, _INFRA, _EITHER = Domain.WORKLOAD, Domain.INFRA, Domain.UNKNOWN
_NEVER, _CHANGED, _SAME, _ELSEWHERE, _FREE, _OPEN = (
    Outlook.NEVER,
    Outlook.CHANGED,
    Outlook.SAME,
    Outlook.ELSEWHERE,
    Outlook.FREE,
    Outlook.UNKNOWN,
)


class Meaning(NamedTuple):
    """What is true of every failure of a category."""

    domain: Domain
    outlook: Outlook
    what: str
    remedy: str


MEANINGS: dict[Category, Meaning] = {
    Category.GPU_OOM: Meaning(
        _WORKLOAD,
        _CHANGED,
        "the memory of a GPU was not enough",
        "Halve the batch and accumulate gradients over twice as many, or turn on activation checkpointing.",
    ),
    Category.HOST_OOM_KILL: Meaning(
        _WORKLOAD,
        _CHANGED,
        "the kernel, or the cluster, killed it for its memory",
        "Give it more memory, or load less at once: fewer data loader workers, smaller chunks.",
    ),
    Category.HOST_OOM_SOFT: Meaning(
        _WORKLOAD,
        _CHANGED,
        "it asked for memory and was refused",
        "Give it more memory, or load less at once: fewer data loader workers, smaller chunks.",
    ),
    Category.SHM_EXHAUSTED: Meaning(
        _INFRA,
        _CHANGED,
        "shared memory was full, or a mapped file shrank (SIGBUS)",
        "Make /dev/shm larger, or use fewer data loader workers.",
    ),
    Category.SIGKILL_UNCONFIRMED: Meaning(
        _EITHER,
        _SAME,
        "killed by SIGKILL, and there is no record of why",
        "Ask who ends processes on that machine: an administrator, a node agent, a container's memory limit.",
    ),
    Category.COLLECTIVE_TIMEOUT: Meaning(
        _EITHER,
        _SAME,
        "a collective operation failed or timed out, and nothing before it says why",
        "Look at the rank that stopped logging first; the others only waited for it.",
    ),
    Category.RENDEZVOUS_FAILURE: Meaning(
        _INFRA,
        _SAME,
        "the ranks did not find each other: a port in use, a name that does not resolve, a rank that never came",
        "Let the port be chosen freely, and check that every rank has started and that its host's name resolves.",
    ),
    Category.GPU_HARDWARE: Meaning(
        _INFRA,
        _ELSEWHERE,
        "a GPU or its link is broken (Xid, ECC, fallen off the bus)",
        "Run it on another machine, and take this one out of service until its GPU has been checked.",
    ),
    Category.CUDA_RUNTIME: Meaning(
        _EITHER,
        _SAME,
        "a CUDA kernel failed: an illegal address, a device-side assertion",
        "Run it once with CUDA_LAUNCH_BLOCKING=1 to see the operation; it is often an index or a label out of range.",
    ),
    Category.GPU_UNAVAILABLE: Meaning(
        _INFRA,
        _ELSEWHERE,
        "no usable GPU, driver or CUDA library was found",
        "Run it where there is a GPU whose driver fits its CUDA version, and check CUDA_VISIBLE_DEVICES.",
    ),
    Category.NAN_LOSS: Meaning(
        _WORKLOAD,
        _CHANGED,
        "the loss is not a finite number any more",
        "Resume from a checkpoint before it, with a lower learning rate or clipped gradients, and look at that batch.",
    ),
    Category.DIVERGENCE: Meaning(
        _WORKLOAD,
        _CHANGED,
        "the training said of itself that it diverges or does not improve",
        "Look at the curve of the loss, and lower the learning rate or stop here.",
    ),
    Category.BAD_SAMPLE: Meaning(
        _WORKLOAD,
        _SAME,
        "a piece of the data cannot be read",
        "Look at the file that was being read; if it fails twice at the same place, repair or skip it.",
    ),
    Category.MISSING_FILE: Meaning(
        _WORKLOAD,
        _CHANGED,
        "a file or a data set is not there",
        "Check the path, and whether what is mounted there can be seen by the worker.",
    ),
    Category.PERMISSION: Meaning(
        _WORKLOAD,
        _CHANGED,
        "it may not read, write or fetch something",
        "Grant the worker's user access to it, or renew the credential.",
    ),
    Category.DISK_FULL: Meaning(
        _INFRA,
        _CHANGED,
        "a disk is full, or a quota or a file size limit is reached",
        "Make room, for instance by keeping fewer checkpoints, and check what was written last for completeness.",
    ),
    Category.CHECKPOINT_CORRUPT: Meaning(
        _INFRA,
        _SAME,
        "a checkpoint is torn or incomplete",
        "Resume from the checkpoint before it, and write checkpoints to a temporary name that is renamed at the end.",
    ),
    Category.CHECKPOINT_MISMATCH: Meaning(
        _WORKLOAD,
        _NEVER,
        "a checkpoint does not fit the model that is to load it",
        "Load it with the code and the parameters that it was written with, or start from scratch.",
    ),
    Category.PREEMPTED: Meaning(
        _INFRA, _FREE, "something more important took its place", "Nothing is to be done: it goes on where it was."
    ),
    Category.NODE_LOST: Meaning(
        _INFRA,
        _FREE,
        "its worker or its machine is gone",
        "Nothing is to be done for the stage; if it happens again, look at the worker's own log and machine.",
    ),
    Category.WORKER_SHUTDOWN: Meaning(
        _INFRA,
        _SAME,
        "its worker, or somebody else on the machine, asked it to end (SIGTERM)",
        "Nothing is to be done if machines were being restarted; otherwise ask who sends SIGTERM.",
    ),
    Category.WALL_TIMEOUT: Meaning(
        _WORKLOAD,
        _CHANGED,
        "it was still at work when its time was over",
        "Give it a longer timeout, or let it write checkpoints to resume from.",
    ),
    Category.HANG_NO_PROGRESS: Meaning(
        _EITHER,
        _SAME,
        "it made steps, and then none for at least half of its time",
        "Look at what it was doing: have faulthandler dump the stacks on a signal, and see which rank waits for which.",
    ),
    Category.STARTUP_STALL: Meaning(
        _EITHER,
        _SAME,
        "it reported that it had begun, and then no first step until its time was over",
        "Look at its first phase: a download, a compilation or a rendezvous that does not end.",
    ),
    Category.IMPORT_ERROR: Meaning(
        _WORKLOAD,
        _NEVER,
        "a module, a name in it or a library is missing in its environment",
        "Install what is missing into the environment of the worker, or correct the import.",
    ),
    Category.COMMAND_NOT_FOUND: Meaning(
        _WORKLOAD,
        _NEVER,
        "the program is not there, cannot be executed, or is for another machine",
        "Check the path of the program, its executable bit, its first line and its architecture.",
    ),
    Category.BAD_ARGUMENTS: Meaning(
        _WORKLOAD,
        _NEVER,
        "the program refuses its arguments or its configuration",
        "Correct the argument or the setting that it names.",
    ),
    Category.USER_EXCEPTION: Meaning(
        _WORKLOAD,
        _OPEN,
        "an exception of the program that is none of the others",
        "Look at the line of the program where it was raised.",
    ),
    Category.NATIVE_CRASH: Meaning(
        _EITHER,
        _SAME,
        "native code crashed: a segmentation fault, an abort, an illegal instruction",
        "Run it with PYTHONFAULTHANDLER=1 to see where, and compare the versions of its native libraries.",
    ),
    Category.NETWORK_FLAKE: Meaning(
        _INFRA,
        _SAME,
        "the network, or storage behind it, failed",
        "Let it be tried again after a while; if it goes on, check that the other side is up.",
    ),
    Category.CANNOT_START: Meaning(
        _INFRA,
        _SAME,
        "it could not be started, and that was not the program's fault",
        "Look at the machine of the worker: processes, memory, disk, or an image that cannot be fetched.",
    ),
    Category.CANCELLED: Meaning(_WORKLOAD, _OPEN, "somebody cancelled it", "Nothing is to be done."),
    Category.ORCHESTRATOR_BUG: Meaning(
        _INFRA,
        _SAME,
        "Headway itself failed to run it",
        "Look at the worker's log at that time, and report it as a defect of Headway.",
    ),
    Category.UNKNOWN: Meaning(
        _EITHER,
        _OPEN,
        "not recognised",
        "Read the end of its log; what it printed last is all that is known.",
    ),
}
"""Every category, in the order in which they are looked for: causes before what follows from them."""
