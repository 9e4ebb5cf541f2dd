"""Celery, set up to lose as little as it can; a program of its own, for Celery's own environment.

``python celery_peer.py worker`` is a worker. ``python celery_peer.py`` sends a task for each line ``key seconds`` on
stdin and answers ``yes`` or ``no``.
"""

import os
import sys
import time

from celery import Celery

app = Celery("celery_peer", broker=f"redis+socket://{os.environ['VALKEY_SOCKET']}?virtual_host=0")
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={"visibility_timeout": 5},
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
)


def say(key, word):
    log = os.open(os.environ["OUTSIDE"], os.O_WRONLY | os.O_APPEND)
    os.write(log, f"{key} work 1 {os.getpid()} {word}\n".encode())
    os.close(log)


@app.task(name="work")
def work(key, seconds):
    """Leave word at both ends."""
    say(key, "begin")
    time.sleep(seconds)
    say(key, "end")


def send():
    for line in sys.stdin:
        key, seconds = line.split()
        try:
            work.apply_async((key, float(seconds)), retry=False)
            print("yes", flush=True)
        except Exception:
            print("no", flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        app.worker_main(["worker", "--loglevel=ERROR", "--concurrency=4", f"--hostname=w{os.getpid()}@%h"])
    else:
        send()
