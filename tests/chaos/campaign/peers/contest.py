"""The same faults to others: what is lost and what runs twice when plain arq or Celery has to bear them."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import redis

from app.embedded import start_valkey
from tests.chaos.campaign import outside
from tests.support.processes import until

WORKERS = 3
TASKS = 120
SHORT_S, LONG_S = 0.3, 2.0
PAUSE_S = 0.01
ASLEEP_S = STILL_S = 115.0
"""Past arq's timeout and its ten seconds, and past Celery's visibility timeout, at which it looks every 100 s."""
DEAF_S = 10.0


@dataclass
class Outcome:
    """What became of the tasks that were accepted."""

    peer: str
    fault: str
    accepted: int = 0
    lost: int = 0
    ran_twice: int = 0
    is_deaf: bool = False


@dataclass
class Peer:
    """A peer with its workers, its sender and a Valkey of its own."""

    name: str
    python: Path
    directory: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Start everything."""
        self.log = self.directory / "outside.log"
        self.log.touch()
        self.valkey = start_valkey(self.directory)
        self.environment = os.environ | {"VALKEY_SOCKET": urlsplit(self.valkey.url).path, "OUTSIDE": str(self.log)}
        self.program = [str(self.python), str(Path(__file__).with_name(f"{self.name}_peer.py"))]
        for _ in range(WORKERS):
            self.add_worker()
        self.sender = subprocess.Popen(
            self.program, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def add_worker(self) -> None:
        """One more worker, in a process group of its own."""
        with (self.directory / "workers.log").open("ab") as said:
            worker = [*self.program, "worker"]
            options = {"stdout": said, "stderr": said, "start_new_session": True}
            self.workers.append(subprocess.Popen(worker, env=self.environment, cwd=self.directory, **options))

    def signal(self, worker: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Send a signal to a worker and to all of its processes."""
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, number)

    def stop(self) -> None:
        """End everything."""
        for worker in self.workers:
            self.signal(worker, signal.SIGKILL)
            worker.wait()
        self.sender.kill()
        self.sender.wait()
        self.valkey.stop()

    async def send(self, key: str, seconds: float) -> bool:
        """Send a task; whether it was accepted."""
        return await asyncio.to_thread(self._send, key, seconds)

    def _send(self, key: str, seconds: float) -> bool:
        self.sender.stdin.write(f"{key} {seconds}\n".encode())
        self.sender.stdin.flush()
        return self.sender.stdout.readline() == b"yes\n"

    def ended(self) -> Counter[str]:
        """How often each task has run to its end."""
        return Counter(line.key for line in outside.read(self.log) if line.word == "end")


async def kill_a_worker(peer: Peer) -> None:
    """SIGKILL, and a new one in its place."""
    peer.signal(peer.workers[0], signal.SIGKILL)
    peer.add_worker()


async def wake_a_zombie(peer: Peer) -> None:
    """Asleep until its tasks have been given to others."""
    peer.signal(peer.workers[0], signal.SIGSTOP)
    await asyncio.sleep(ASLEEP_S)
    peer.signal(peer.workers[0], signal.SIGCONT)


async def empty_redis(peer: Peer) -> None:
    """FLUSHALL."""
    with redis.Redis.from_url(peer.valkey.url) as client:
        client.flushall()


async def restart_redis(peer: Peer) -> None:
    """Killed, and back without anything in it."""
    peer.valkey.process.kill()
    peer.valkey.process.wait()
    peer.valkey.stop()
    shutil.rmtree(peer.directory / "valkey" / "appendonlydir")
    await asyncio.sleep(1)
    peer.valkey = start_valkey(peer.directory)


FAULTS: dict[str, tuple[str, Callable[[Peer], Awaitable[None]]]] = {
    "F1": ("a worker is killed", kill_a_worker),
    "F4": ("a worker sleeps, and comes back", wake_a_zombie),
    "F10": ("Redis is emptied", empty_redis),
    "F11": ("Redis is restarted", restart_redis),
}


async def contest(directory: Path, pythons: dict[str, Path]) -> list[Outcome]:
    """Play every fault against every peer, side by side, as they mostly wait."""
    plays = []
    for fault in FAULTS:
        for name, python in pythons.items():
            place = directory / f"{name}-{fault}"
            place.mkdir(parents=True)
            plays.append(_play(Peer(name, python.absolute(), place), fault))
    return await asyncio.gather(*plays)


async def _play(peer: Peer, fault: str) -> Outcome:
    outcome = Outcome(peer.name, fault)
    peer.start()
    try:
        assert await peer.send("first", 0)
        await until(lambda: peer.ended()["first"], f"{peer.name} does not start", 120)
        accepted, happening = set(), None
        for number in range(TASKS):
            if await peer.send(f"t{number}", LONG_S if number % 4 == 0 else SHORT_S):
                accepted.add(f"t{number}")
            await asyncio.sleep(PAUSE_S)
            if number == TASKS // 2:
                happening = asyncio.create_task(FAULTS[fault][1](peer))
        await happening
        await _settled(peer, accepted)
        ended = peer.ended()
        outcome.accepted = len(accepted)
        outcome.lost = sum(ended[key] == 0 for key in accepted)
        outcome.ran_twice = sum(times > 1 for times in ended.values())
        outcome.is_deaf = not await _still_works(peer)
    finally:
        peer.stop()
    return outcome


async def _settled(peer: Peer, accepted: set[str]) -> None:
    loop = asyncio.get_running_loop()
    moved_at, before = loop.time(), None
    while loop.time() < moved_at + STILL_S:
        ended = peer.ended()
        if accepted <= set(ended) and loop.time() > moved_at + LONG_S:
            return
        if ended != before:
            moved_at, before = loop.time(), ended
        await asyncio.sleep(0.2)


async def _still_works(peer: Peer) -> bool:
    """Whether new tasks, more than one worker can hold, run at all."""
    keys = {f"tail{number}" for number in range(6)}
    for key in keys:
        await peer.send(key, SHORT_S)
    with suppress(AssertionError):
        await until(lambda: keys <= set(peer.ended()), "", DEAF_S)
        return True
    return False
