"""Plain arq, as its documentation shows it: a program of its own, without anything of Headway.

``python arq_peer.py worker`` is a worker. ``python arq_peer.py`` enqueues a job for each line ``key seconds`` on stdin
and answers ``yes`` or ``no``.
"""

import asyncio
import os
import sys

from arq import create_pool, run_worker
from arq.connections import RedisSettings

SETTINGS = RedisSettings(unix_socket_path=os.environ["VALKEY_SOCKET"])
TIMEOUT_S = 5


def say(key, word):
    log = os.open(os.environ["OUTSIDE"], os.O_WRONLY | os.O_APPEND)
    os.write(log, f"{key} work 1 {os.getpid()} {word}\n".encode())
    os.close(log)


async def work(_context, key, seconds):
    """Leave word at both ends."""
    say(key, "begin")
    await asyncio.sleep(seconds)
    say(key, "end")


class WorkerSettings:
    """The shortest timeout that fits, because a lost job waits for it and ten seconds more."""

    functions = (work,)
    redis_settings = SETTINGS
    job_timeout = TIMEOUT_S


async def send():
    pool = None
    for line in sys.stdin:
        key, seconds = line.split()
        try:
            pool = pool or await create_pool(SETTINGS)
            await pool.enqueue_job("work", key, float(seconds))
            print("yes", flush=True)
        except Exception:
            pool = None
            print("no", flush=True)


if __name__ == "__main__":
    run_worker(WorkerSettings) if sys.argv[1:] else asyncio.run(send())
