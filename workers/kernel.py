"""What the kernel counts: how often it has killed a process because memory had run out."""

from pathlib import Path

VMSTAT = Path("/proc/vmstat")
_CGROUP_EVENTS = Path("/sys/fs/cgroup/memory.events")
"""Of a container's own cgroup, where it has one; its kills are not in the machine's count on every kernel."""


def oom_kills() -> int:
    """Read the counts, of which only the growth means anything; 0 where there are none to be read."""
    return _count(VMSTAT) + _count(_CGROUP_EVENTS)


def _count(path: Path) -> int:
    try:
        text = path.read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)
