"""The local executor: whatever a stage does, nothing of it outlives it, and nobody else feels it."""

import ast
import asyncio
import os
import select
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from workers.executors import local
from workers.executors.base import Exit, Launch

ROOT = Path(__file__).parents[3]
LEFT_BEHIND = ("child", "setsid", "daemon")
TAIL = 64 * 1024


async def run(launch: Launch) -> Exit:
    process = await local.start(launch)
    return await process.wait()


# How a stage ends


@pytest.mark.parametrize("code", [0, 3, 85, 137])
async def test_the_exit_code_is_the_programs_own(stage, code):
    exit_ = await run(stage(f"sys.exit({code})"))
    assert (exit_.exit_code, exit_.signal, exit_.killed) == (code, None, False)


async def test_a_kill_from_outside_is_told_by_its_signal(stage):
    exit_ = await run(stage("os.kill(os.getpid(), signal.SIGKILL)"))
    assert (exit_.exit_code, exit_.signal, exit_.killed, exit_.explanation) == (None, signal.SIGKILL, False, None)


async def test_the_exit_tells_what_the_stage_and_its_children_used(stage):
    work = "ballast = b'x' * 60_000_000\nwhile time.process_time() < 0.2: pass"
    exit_ = await run(stage(f"if os.fork(): os.wait(); sys.exit()\n{work}"))
    assert exit_.max_rss_bytes > 60_000_000
    assert exit_.cpu_s > 0.2
    assert exit_.seconds > 0.2


async def test_nobody_closes_a_descriptor_that_is_another_threads_by_now(stage, monkeypatch):
    """uvloop closes a descriptor and then its file, which must not close the same number once more."""
    loop, given = asyncio.get_running_loop(), []
    for name in ("connect_read_pipe", "connect_write_pipe"):
        connect = getattr(loop, name)
        monkeypatch.setattr(loop, name, lambda make, pipe, to=connect: given.append(pipe) or to(make, pipe))

    await run(stage("pass"))

    is_uvloop = isinstance(loop, uvloop.Loop)
    assert [pipe.closefd for pipe in given] == [not is_uvloop, not is_uvloop]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"argv": ["no-such-program"]}, "No such file or directory: no-such-program"),
        ({"argv": ["/etc/passwd"]}, "Permission denied: /etc/passwd"),
        ({"argv": []}, "no program"),
        ({"argv": [""]}, "no program"),
        ({"argv": ["echo", "a\0b"]}, "NUL"),
        ({"argv": ["echo", "\ud800"]}, "surrogates not allowed"),
        ({"argv": ["echo", "x" * 10_000_000]}, "Argument list too long: echo"),
        ({"env": {"A=B": "c"}}, "environment variable"),
        ({"cwd": Path("/no/such/folder")}, "No such file or directory: /no/such/folder"),
        ({"log_path": Path("/no/such/folder/log.txt")}, "/no/such/folder/log.txt"),
    ],
)
async def test_what_cannot_be_started_says_why(stage, fault, said):
    exit_ = await run(replace(stage("pass"), **fault))
    assert said in exit_.spawn_error
    assert (exit_.exit_code, exit_.signal) == (None, None)


@pytest.mark.parametrize("fault", [("SUPERVISOR", "/no/such/supervisor.py"), ("sys.executable", "/no/such/python")])
async def test_a_supervisor_that_cannot_start_is_a_spawn_error(stage, monkeypatch, fault):
    monkeypatch.setattr(f"workers.executors.local.{fault[0]}", fault[1])
    exit_ = await run(stage("pass"))
    assert fault[1] in exit_.spawn_error


async def test_a_wait_that_was_cancelled_can_be_repeated(stage, lifeline):
    process = await local.start(stage("say('main'); forever()"))
    waiting = asyncio.create_task(process.wait())
    await lifeline.hear("main")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    process.kill()
    assert (await process.wait()).signal == signal.SIGKILL
    process.kill()
    assert (await process.wait()).signal == signal.SIGKILL


# What a stage is given


async def test_a_stage_sees_the_environment_of_its_launch_and_no_other(stage, lifeline, go, monkeypatch):
    monkeypatch.setenv("HEADWAY_DATABASE_URL", "postgresql://secret")
    launch = replace(stage("say('main'); wait_for_go(); print(dict(os.environ))"), env={"A": "ä\n=b", "EMPTY": ""})
    process = await local.start(launch)
    await lifeline.hear("main")
    assert "secret" not in of_process(process.handle, "environ")
    go()
    await process.wait()
    seen = ast.literal_eval(launch.log_path.read_text())
    seen.pop("LC_CTYPE", None)  # An interpreter in the C locale sets it for itself.
    assert seen.pop(local.MARK)
    assert seen == {"A": "ä\n=b", "EMPTY": ""}


async def test_no_open_file_of_the_worker_leaks_into_a_stage(stage, lifeline):
    os.set_inheritable(lifeline.end, True)  # noqa: FBT003 - the call takes no names.
    launch = stage("print([n for n in range(64) if os.path.exists(f'/proc/self/fd/{n}')], sys.stdin.read() == '')")
    await run(launch)
    assert launch.log_path.read_text() == "[0, 1, 2] True\n"


async def test_a_stage_has_a_session_of_its_own(stage, tmp_path):
    launch = stage("print(os.getsid(0) == os.getpgid(0) == os.getpid(), os.getcwd())")
    await run(launch)
    assert launch.log_path.read_text() == f"True {tmp_path}\n"


async def test_a_stage_ignores_and_blocks_no_signal_because_its_worker_does(stage):
    ignored = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        launch = replace(stage(""), argv=["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"])
        await run(launch)
    finally:
        signal.signal(signal.SIGUSR1, ignored)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    _, blocked_there, _, ignored_there = launch.log_path.read_text().split()
    # GNU make hands its children 32 and 33, which are the C library's own, and which it lets nobody change.
    assert {int(blocked_there, 16), int(ignored_there, 16) & ~(0b11 << 31)} == {0}


# Nothing outlives its stage


async def test_nothing_outlives_the_end_of_its_stage(stage, lifeline, go):
    process = await local.start(stage("leave_behind(); wait_for_go(); sys.exit(4)"))
    await lifeline.hear(*LEFT_BEHIND)
    go()
    exit_ = await process.wait()
    assert lifeline.is_cut()
    assert (exit_.exit_code, exit_.killed) == (4, True)


async def test_nothing_outlives_a_kill_of_its_stage(stage, lifeline):
    process = await local.start(stage("ignore_sigterm(); leave_behind(); say('main'); forever()"))
    await lifeline.hear(*LEFT_BEHIND, "main")
    process.terminate()
    process.kill()
    exit_ = await process.wait()
    assert lifeline.is_cut()
    assert (exit_.signal, exit_.killed) == (signal.SIGKILL, True)


async def test_a_process_that_forks_on_and_on_is_caught(stage, lifeline, go):
    hop = "def hop():\n    while True:\n        os.fork() and os._exit(0)\n        os.setsid()\n"
    process = await local.start(stage(f"{hop}if os.fork() == 0: say('hopper'); hop()\nwait_for_go()"))
    await lifeline.hear("hopper")
    go()
    await process.wait()
    assert lifeline.is_cut()


@pytest.mark.parametrize("waited_for", [0, os.WNOWAIT])
async def test_children_that_have_ended_by_themselves_need_no_kill(stage, waited_for):
    exit_ = await run(stage(f"if os.fork() == 0: os._exit(0)\nos.waitid(os.P_ALL, 0, os.WEXITED | {waited_for})"))
    assert (exit_.exit_code, exit_.killed) == (0, False)


async def test_a_request_to_end_reaches_the_whole_process_group(stage, lifeline):
    leave = "def leave(*_): print(os.wait()[1]); sys.exit(85)\nsignal.signal(signal.SIGTERM, leave)\n"
    launch = stage(f"if os.fork() == 0: say('child'); forever()\n{leave}say('main'); forever()")
    process = await local.start(launch)
    await lifeline.hear("child", "main")
    process.terminate()
    exit_ = await process.wait()
    assert (exit_.exit_code, exit_.killed) == (85, False)
    assert int(launch.log_path.read_text()) == signal.SIGTERM


async def test_a_supervisor_takes_the_order_to_end_from_its_worker_alone(stage, lifeline, go):
    process = await local.start(stage("say('main'); wait_for_go(); sys.exit(3)"))
    await lifeline.hear("main")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(int(process.handle), number)
    go()
    assert (await process.wait()).exit_code == 3


async def test_nothing_outlives_a_supervisor_that_was_killed_before_it_could_report(
    stage, lifeline, tmp_path, monkeypatch
):
    silent = Path(local.SUPERVISOR).read_text().replace('report({"pid": pid})', "select.select([], [], [])")
    assert "select.select([], [], [])" in silent
    (tmp_path / "silent.py").write_text(silent)
    monkeypatch.setattr(local, "SUPERVISOR", str(tmp_path / "silent.py"))
    process = await local.start(stage("ignore_sigterm(); leave_behind(); say('main'); forever()"))
    await lifeline.hear(*LEFT_BEHIND, "main")
    os.kill(int(process.handle), signal.SIGKILL)
    exit_ = await process.wait()
    assert lifeline.is_cut()
    assert (exit_.signal, exit_.killed, exit_.spawn_error) == (signal.SIGKILL, True, None)
    assert "supervisor" in exit_.explanation


async def test_a_stage_that_kills_its_supervisor_takes_nobody_with_it(stage, lifeline, go):
    neighbour = await local.start(stage("time.sleep(60)", name="neighbour"))
    unmarked = (
        "if os.fork() == 0: say('unmarked'); os.set_inheritable(line, True); os.execve('/bin/sleep', ['', '60'], {})"
    )
    poison = "wait_for_go(); os.kill(os.getppid(), signal.SIGKILL); forever()"
    process = await local.start(stage(f"leave_behind()\n{unmarked}\nsay('main'); {poison}"))
    await lifeline.hear(*LEFT_BEHIND, "unmarked", "main")
    go()
    exit_ = await process.wait()
    assert (exit_.exit_code, exit_.signal, exit_.killed) == (None, signal.SIGKILL, True)
    assert "supervisor" in exit_.explanation
    assert lifeline.is_cut(within_s=1)
    neighbour.terminate()
    assert (await neighbour.wait()).signal == signal.SIGTERM


# Nothing outlives its worker


WORKER = """
import asyncio, sys, uvloop
from pathlib import Path
from workers.executors import local
from workers.executors.base import Launch

async def main():
    script = Path(sys.argv[2])
    process = await local.start(Launch([sys.executable, str(script)], {}, script.parent, script.with_suffix(".log"), 0))
    print(process.handle, flush=True)
    await process.wait()

{"asyncio": asyncio, "uvloop": uvloop}[sys.argv[1]].run(main())
"""


def start_worker(launch: Launch, loop: str = "uvloop") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WORKER, loop, launch.argv[-1]]
    env = {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, start_new_session=True)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_its_worker(stage, lifeline, loop, number):
    launch = stage("ignore_sigterm(); leave_behind(); say('main'); forever()")
    with start_worker(launch, loop) as worker:
        supervisor = os.pidfd_open(int(worker.stdout.readline()))
        lifeline.hear_now(*LEFT_BEHIND, "main")
        os.killpg(worker.pid, number)
    assert worker.returncode == -number
    assert lifeline.is_cut(within_s=10)
    assert select.select([supervisor], [], [], 10)[0]
    os.close(supervisor)


def test_the_main_process_ends_with_its_supervisor_though_the_worker_is_stuck(stage, lifeline):
    with start_worker(stage("ignore_sigterm(); say('main'); forever()")) as worker:
        supervisor = int(worker.stdout.readline())
        lifeline.hear_now("main")
        worker.send_signal(signal.SIGSTOP)
        os.kill(supervisor, signal.SIGKILL)
        ended = lifeline.is_cut(within_s=10)
        worker.kill()
    assert ended


def test_nothing_outlives_its_event_loop(stage, lifeline):
    async def start_and_forget() -> None:
        await local.start(stage("leave_behind(); say('main'); forever()"))
        await lifeline.hear(*LEFT_BEHIND, "main")

    asyncio.run(start_and_forget())
    assert lifeline.is_cut()


# What a stage prints


def numbers(size: int) -> bytes:
    return b"".join(b"%09d\n" % number for number in range(size // 10))


PRINT_NUMBERS = "for number in range({size} // 10): print('%09d' % number)"


@pytest.mark.parametrize("size", [0, 10, 100_000, 100_000 + TAIL // 10 * 10])
async def test_a_log_that_fits_is_whole(stage, size):
    launch = stage(PRINT_NUMBERS.format(size=size), log_bytes_max=100_000)
    exit_ = await run(launch)
    assert launch.log_path.read_bytes() == numbers(size)
    assert exit_.log_bytes == size


async def test_a_log_that_is_too_long_keeps_its_beginning_and_its_end(stage):
    launch = stage(PRINT_NUMBERS.format(size=1_000_000), log_bytes_max=100_000)
    exit_ = await run(launch)
    marker = b"\n[headway: %d bytes left out]\n" % (1_000_000 - 100_000 - TAIL)
    assert launch.log_path.read_bytes() == numbers(1_000_000)[:100_000] + marker + numbers(1_000_000)[-TAIL:]
    assert exit_.log_bytes == 1_000_000


async def test_what_is_still_in_the_pipe_when_a_stage_ends_is_not_lost(stage, lifeline, go):
    enlarge = "import fcntl; fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 1 << 20)"
    process = await local.start(stage(f"{enlarge}; say('main'); wait_for_go(); os.write(1, bytes(900_000))"))
    await lifeline.hear("main")
    os.kill(int(process.handle), signal.SIGSTOP)
    go()
    assert lifeline.is_cut(within_s=10)
    os.kill(int(process.handle), signal.SIGCONT)
    assert (await process.wait()).log_bytes == 900_000


async def test_what_is_printed_and_what_is_complained_of_come_in_their_order(stage):
    launch = stage("os.write(1, b'a\\n'); os.write(2, b'b\\n'); os.write(1, b'c\\n')")
    await run(launch)
    assert launch.log_path.read_text() == "a\nb\nc\n"


async def test_a_stage_that_closes_its_output_runs_on(stage, lifeline, go):
    process = await local.start(stage("os.closerange(0, 3); say('main'); wait_for_go(); os._exit(5)"))
    await lifeline.hear("main")
    before = cpu_ticks(process.handle)
    await asyncio.sleep(0.1)  # The time in which a supervisor would spin that polls the closed pipe.
    assert cpu_ticks(process.handle) - before < 5
    go()
    assert (await process.wait()).exit_code == 5


async def test_a_full_disk_ends_the_log_and_not_the_stage(stage):
    launch = replace(stage(PRINT_NUMBERS.format(size=200_000)), log_path=Path("/dev/full"))
    exit_ = await run(launch)
    assert (exit_.exit_code, exit_.log_bytes) == (0, 200_000)


async def test_a_flood_of_output_is_felt_by_nobody(stage, lifeline, go):
    flood = "for _ in range(1600): os.write(1, bytes(65536))\nsay('main'); wait_for_go()"
    launch = stage(flood, log_bytes_max=200_000)
    over = asyncio.Event()
    watching = asyncio.create_task(longest_pause_of_the_loop_s(over))
    process = await local.start(launch)
    await lifeline.hear("main")
    supervisor_bytes = peak_memory_bytes(process.handle)
    go()
    exit_ = await process.wait()
    over.set()
    assert exit_.log_bytes == 1600 * 65536
    assert launch.log_path.stat().st_size < 200_000 + TAIL + 100
    assert supervisor_bytes < 30_000_000
    assert await watching < 0.5


async def longest_pause_of_the_loop_s(over: asyncio.Event) -> float:
    loop = asyncio.get_running_loop()
    longest = 0.0
    while not over.is_set():
        before = loop.time()
        await asyncio.sleep(0.001)
        longest = max(longest, loop.time() - before)
    return longest


def peak_memory_bytes(pid: str) -> int:
    return int(of_process(pid, "status").partition("VmHWM:")[2].split()[0]) * 1024


def cpu_ticks(pid: str) -> int:
    fields = of_process(pid, "stat").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def of_process(pid: str, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()
