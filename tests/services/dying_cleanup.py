"""Cleans up checkpoints and dies: ``dying_cleanup.py URL DATA_DIR PIPELINE`` reads after how many lines, line by line.

It prints "killed", or "done" when the clean-up had fewer lines than that. Only lines that matter count: those of the
clean-up and of the removal of files, each on its first two visits.
"""

import asyncio
import os
import shutil
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from uuid import UUID

from app import trash
from app.core.retention import Rule
from app.db.pool import open_pool
from app.services import retention

FILES = {module.__file__ for module in (retention, trash, shutil)}
VISITS = 2
RULE = Rule(best_n=1, metric="loss")


async def clean(url: str, data_dir: str, pipeline: str) -> None:
    pool = await open_pool(url, max_size=2)
    await retention.clean(pool, Path(data_dir), UUID(pipeline), RULE)
    pool.terminate()


def die_after(lines: int) -> None:
    """Let SIGKILL end this process after so many lines, in whichever thread."""
    left, seen = lines, Counter()

    def trace(frame, event, _):
        nonlocal left
        if frame.f_code.co_filename not in FILES:
            return None
        place = frame.f_code.co_filename, frame.f_lineno
        if event == "line" and seen[place] < VISITS:
            seen[place] += 1
            left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    threading.settrace(trace)


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            die_after(int(line))
            asyncio.run(clean(*sys.argv[1:]))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write("done\n" if status == 0 else "killed\n" if os.WIFSIGNALED(status) else "failed\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
