"""Stages that kill, flood, fork, swallow memory and refuse to end."""

import asyncio
from pathlib import Path

from tests.chaos.campaign.fault import fault
from tests.chaos.campaign.load import Load
from tests.chaos.campaign.outside import insist
from tests.chaos.campaign.world import World
from tests.support.installation import TIMINGS
from tests.support.processes import below, until

MEMORY = Path("/sys/fs/cgroup/memory")
MEMORY_MAX = 256 * 1024 * 1024
GREED = """python3 -c 'import time; x = b"x" * (1 << 30); time.sleep(5)' || exit 9"""
GROWTH_KB = 50 * 1024
KILL_THE_WORKER = """kill -9 $(cut -d ' ' -f 4 /proc/$PPID/stat); sleep 60"""
IGNORE = "trap '' TERM; sleep 60 & wait; sleep 60"
FLOOD = "yes flooding the log of this stage | head -c 200000000"
FORKS = "for n in $(seq 150); do sleep 60 & done; sleep 0.2"


def _no_memory_cgroup() -> str | None:
    group = MEMORY / "headway-chaos"
    try:
        group.mkdir(exist_ok=True)
        (group / "memory.limit_in_bytes").write_text(str(MEMORY_MAX))
        group.rmdir()
    except OSError as error:
        return f"no memory cgroup can be made here ({error})"
    return None


@fault(30, missing=_no_memory_cgroup, alone=True)
async def run_out_of_memory(world: World, load: Load) -> int:
    """A stage takes more memory than its worker's host has; the stage dies of it, the worker does not."""
    group = MEMORY / f"headway-chaos-{world.installation.postgres.pid}"
    group.mkdir()
    worker = world.start("worker", worker_queues="evaluation", worker_concurrency=1)
    (group / "memory.limit_in_bytes").write_text(str(MEMORY_MAX))
    (group / "cgroup.procs").write_text(str(worker.pid))
    job = load.send([load.command("greedy", does=GREED, queue="evaluation")], ends={"failed"})
    await load.ended(job, 20)
    if not worker.is_running:
        world.wrong.append(("ended_wrong", "the worker died of the memory that its stage took"))
    world.kill(worker)
    await asyncio.sleep(0.2)
    group.rmdir()
    return 1


@fault(31)
async def poison_workers(world: World, load: Load) -> int:
    """A stage kills every worker that runs it; it is quarantined, and the others go on."""
    poison = load.command("poison", does=KILL_THE_WORKER, queue="training")
    job = load.send([poison, load.witness("after", "poison")], ends={"failed"})
    victims = [world.start("worker", worker_queues="training") for _ in range(3)]
    await load.ended(job, 45)
    return sum(not victim.is_running for victim in victims)


@fault(32)
async def flood_and_fork(world: World, load: Load) -> int:
    """Stages write 200 MB of log and leave 150 processes; the log is cut, the processes end, the worker stays slim."""
    worker = world.one("worker")
    before = _resident_kb(worker.pid)
    jobs = [load.send([load.command("floods", does=FLOOD), load.command("forks", does=FORKS)]) for _ in range(3)]
    for job in jobs:
        await load.ended(job, 30)
    if (growth := _resident_kb(worker.pid) - before) > GROWTH_KB:
        world.wrong.append(("late", f"a worker grew by {growth} KB"))
    if left := [pid for pid in below(worker.pid) if _command(pid) == "sleep 60"]:
        world.wrong.append(("late", f"processes outlive their stage: {left}"))
    logs = [path.stat().st_size for path in world.installation.data_dir.rglob("log.txt")]
    if max(logs) > 2_000_000:
        world.wrong.append(("late", f"a log has {max(logs)} bytes"))
    return len(jobs)


@fault(33)
async def ignore_the_end(world: World, load: Load) -> int:
    """Stages ignore SIGTERM; a cancel kills them after the grace."""
    job = load.send([load.command(f"s{n}", does=IGNORE) for n in range(3)], ends={"cancelled"})
    await until(lambda: world.log.read_text().count(f"{job.key} ") >= 2, "it does not start")
    uuid, loop = job.uuid, asyncio.get_running_loop()
    assert uuid
    await insist(lambda: world.client.pipelines.cancel(uuid), until=loop.time() + 20)
    limit_s = float(TIMINGS["cancel_grace_s"]) + float(TIMINGS["heartbeat_interval_s"]) + 2
    world.recovered("the end of a cancelled stage that ignores SIGTERM", await load.ended(job, 20), limit_s)
    return 3


def _resident_kb(pid: int) -> int:
    """Nothing for one that another fault has killed."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return int(next((line.split()[1] for line in lines if line.startswith("VmRSS")), 0))


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""
