"""What processes cost the processors, as the kernel keeps books on it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

NANOSECONDS = 1e9


class Spent(NamedTuple):
    """Seconds on a processor, and seconds ready to run but without one, since a process began."""

    ran_s: float
    waited_s: float


def below(roots: Iterable[int]) -> set[int]:
    """These processes and all that descend from them."""
    parents = {pid: parent for pid in _all() if (parent := _parent(pid))}
    wanted = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in wanted} - wanted:
        wanted |= more
    return wanted


def spent(pids: Iterable[int]) -> dict[int, Spent]:
    """What each process has spent so far, all its threads together; those that have ended are left out."""
    return {pid: found for pid in pids if (found := _spent(pid))}


def between(before: Mapping[int, Spent], after: Mapping[int, Spent]) -> Spent:
    """What was spent from one look to the next; who came in between counts in full."""
    none = Spent(0, 0)
    return Spent(
        sum(now.ran_s - before.get(pid, none).ran_s for pid, now in after.items()),
        sum(now.waited_s - before.get(pid, none).waited_s for pid, now in after.items()),
    )


def _all() -> Iterable[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None  # It has just ended.


def _spent(pid: int) -> Spent | None:
    try:
        threads = [file.read_text().split() for file in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Spent(*(sum(int(thread[n]) for thread in threads) / NANOSECONDS for n in (0, 1)))
