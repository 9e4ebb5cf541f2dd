"""What needs rights on the machine: its network, its clocks, its disks."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.campaign.fault import fault
from tests.chaos.campaign.load import Load
from tests.chaos.campaign.world import World
from tests.chaos.proxy import relay
from tests.support.installation import TIMINGS
from tests.support.processes import below, until

LEASE_S = float(TIMINGS["lease_timeout_s"])
CLOCK = Path(__file__).parents[1] / "startup" / "clock.c"
HERE, THERE = "10.213.77.1", "10.213.77.2"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _no_network() -> str | None:
    if shutil.which("ip") is None:
        return "there is no ip (iproute2)"
    try:
        with _network():
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no network namespace can be made here ({error})"


@contextmanager
def _network() -> Iterator[tuple[str, str]]:
    """A network namespace, and the name of the cable that leads there."""
    name, cable = f"headway-{os.getpid()}", f"hw{os.getpid() % 100_000}"
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "addr", "add", f"{HERE}/30", "dev", cable)
        _run("ip", "link", "set", cable, "up")
        _run("ip", "-n", name, "addr", "add", f"{THERE}/30", "dev", "eth0")
        _run("ip", "-n", name, "link", "set", "eth0", "up")
        yield name, cable
    finally:
        _run("ip", "netns", "delete", name)


@fault(26, missing=_no_network, alone=True)
async def cut_the_network(world: World, load: Load) -> int:
    """A worker on a host of its own loses the network to Postgres for two leases, and still reaches Redis."""
    with _network() as (name, cable):
        async with relay(world.installation.postgres.url, HERE) as url:
            far = world.start_in(["ip", "netns", "exec", name], "worker", database_url=url, worker_queues="evaluation")
            await until(lambda: "worker_started" in far.log.read_text(), "it does not start")
            stage = load.command("a", does=f"[ $HEADWAY_ATTEMPT -gt 1 ] || sleep {10 * LEASE_S}", queue="evaluation")
            job = load.send([stage])
            await until(lambda: below(far.pid), "it runs nothing")
            await until(lambda: f"{job.key} a 1" in world.log.read_text(), "it does not begin")
            _run("ip", "link", "set", cable, "down")
            began = asyncio.get_running_loop().time()
            await until(lambda: not below(far.pid), "its stage outlives the lease", 3 * LEASE_S)
            took_s = asyncio.get_running_loop().time() - began
            world.recovered("the end of a stage whose worker is cut off", took_s, LEASE_S)
            world.start("worker", worker_queues="evaluation")
            await asyncio.sleep(max(0, 2 * LEASE_S - took_s))
            _run("ip", "link", "set", cable, "up")
            await load.ended(job, 4 * LEASE_S)
            world.kill(far)
    return 1


@fault(29, missing=lambda: None if shutil.which("cc") else "there is no C compiler", keeps_attempts=True, alone=True)
async def turn_clocks(world: World, _load: Load) -> int:
    """A worker, a scheduler and an API process live an hour ahead, and then an hour behind."""
    clock, library = world.directory / "clock", world.directory / "clock.so"
    _run("cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(CLOCK))
    clock.write_text("3600")
    with world.environment(LD_PRELOAD=str(library), WRONG_CLOCK=str(clock)):
        wrong = [world.start(role) for role in ("api", "scheduler", "worker")]
    await until(lambda: all("started" in each.log.read_text() for each in wrong[1:]), "they do not start")
    await asyncio.sleep(LEASE_S)
    clock.write_text("-3600")
    await asyncio.sleep(LEASE_S)
    for process in wrong:
        process.send(signal.SIGTERM)
        await process.ended()
    return 2


def _no_mounts() -> str | None:
    place = Path(f"/tmp/headway-chaos-{os.getpid()}")
    place.mkdir()
    try:
        with _small_disk(place, "1m"):
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no tmpfs can be mounted here ({error})"
    finally:
        place.rmdir()


@contextmanager
def _small_disk(place: Path, size: str) -> Iterator[None]:
    _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place))
    try:
        yield
    finally:
        _run("umount", "--lazy", str(place))


@fault(16, missing=_no_mounts, alone=True)
async def fill_the_disk_of_redis(world: World, load: Load) -> int:
    """The disk of Redis' append-only file is full."""
    world.installation.lose_valkey()
    home = world.directory / "valkey"
    with _small_disk(home, "4m"):
        await asyncio.to_thread(world.installation.start_valkey)
        await asyncio.sleep(1)
        ballast = home / "ballast"
        _fill(ballast)
        await asyncio.sleep(5)
        ballast.unlink()
        await asyncio.sleep(1)
        await world.probe(load, "a pipeline after the disk of Redis was full", 8)
        world.installation.lose_valkey()
    await asyncio.to_thread(world.installation.start_valkey)
    return 1


@fault(40, missing=_no_mounts, max_retries=20, alone=True)
async def fill_the_disk_of_artifacts(world: World, _load: Load) -> int:
    """The disk of the artifacts is full: attempts fail, and are retried until there is room."""
    artifacts = world.installation.data_dir / "artifacts"
    artifacts.mkdir(exist_ok=True)
    with _small_disk(artifacts, "2m"):
        ballast = artifacts / "ballast"
        _fill(ballast)
        await asyncio.sleep(4)
        ballast.unlink()
        await asyncio.sleep(2)
    return 1


def _fill(ballast: Path) -> None:
    try:
        with ballast.open("wb", buffering=0) as file:
            while file.write(b"x" * 65_536):
                pass
    except OSError:
        pass  # full
