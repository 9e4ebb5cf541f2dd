"""The local executor: whatever a stage does, nothing of it outlives it, and nothing else feels it."""

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

from workers.executors import local
from workers.executors.base import Exit, Launch

ROOT = Path(__file__).parents[3]


async def run(launch: Launch) -> Exit:
    return await (await local.start(launch)).wait()


# How a stage ends


@pytest.mark.parametrize("code", [0, 3, 85, 137])
async def test_the_exit_code_is_the_programs_own(script, code):
    exit_ = await run(script(f"sys.exit({code})"))
    assert (exit_.exit_code, exit_.signal, exit_.killed) == (code, None, False)


async def test_a_kill_from_outside_is_told_by_its_signal(script):
    exit_ = await run(script("os.kill(os.getpid(), signal.SIGKILL)"))
    assert (exit_.exit_code, exit_.signal, exit_.killed, exit_.explanation) == (None, signal.SIGKILL, False, None)


async def test_the_exit_tells_what_the_stage_used(script):
    exit_ = await run(script("ballast = b'x' * 60_000_000\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass"))
    assert exit_.max_rss_bytes > 60_000_000
    assert 0.2 <= exit_.cpu_s < 2
    assert exit_.seconds >= exit_.cpu_s / 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"argv": ["no-such-program"]}, "No such file or directory: no-such-program"),
        ({"argv": ["/etc/passwd"]}, "Permission denied: /etc/passwd"),
        ({"argv": []}, "no program"),
        ({"argv": ["echo", "a\0b"]}, "NUL"),
        ({"argv": ["echo", "\ud800"]}, "surrogates not allowed"),
        ({"argv": ["echo", "x" * 10_000_000]}, "Argument list too long"),
        ({"env": {"A=B": "c"}}, "environment variable"),
        ({"cwd": Path("/no/such/folder")}, "No such file or directory: /no/such/folder"),
        ({"log_path": Path("/no/such/folder/log.txt")}, "/no/such/folder/log.txt"),
    ],
)
async def test_what_cannot_be_started_says_why(script, fault, said):
    exit_ = await run(replace(script("pass"), **fault))
    assert said in exit_.spawn_error
    assert (exit_.exit_code, exit_.signal) == (None, None)


async def test_a_supervisor_that_cannot_start_is_a_spawn_error(script, monkeypatch):
    monkeypatch.setattr(local, "SUPERVISOR", "/no/such/supervisor.py")
    exit_ = await run(script("pass"))
    assert "/no/such/supervisor.py" in exit_.spawn_error


async def test_a_wait_that_is_cancelled_can_be_repeated(script, lifeline):
    process = await local.start(script("say(); forever()"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(process.wait(), 0.01)
    await asyncio.to_thread(lifeline.hear, "here")
    process.kill()
    assert (await process.wait()).signal == signal.SIGKILL
    assert await process.wait() == await process.wait()
    process.kill()


# What a stage is given


async def test_a_stage_sees_the_environment_of_its_launch_and_no_other(script, monkeypatch):
    monkeypatch.setenv("HEADWAY_DATABASE_URL", "postgresql://secret")
    launch = script("print(dict(os.environ))")
    await run(replace(launch, env={"A": "ä\n=b", "EMPTY": ""}))
    seen = ast.literal_eval(launch.log_path.read_text())
    seen.pop("LC_CTYPE", None)  # An interpreter in the C locale sets it for itself.
    assert seen.pop(local.MARK)
    assert seen == {"A": "ä\n=b", "EMPTY": ""}


async def test_nothing_of_the_worker_leaks_into_a_stage(script, tmp_path):
    with (tmp_path / "open").open("w") as leak:
        os.set_inheritable(leak.fileno(), True)
        launch = script(
            "print([os.path.exists(f'/proc/self/fd/{n}') for n in range(64)].count(True), sys.stdin.read() == '')\n"
            "status = dict(line.split(':\\t') for line in open('/proc/self/status'))\n"
            "print(int(status['SigBlk'], 16), int(status['SigIgn'], 16) & ~(1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1))\n"
            "print(os.getsid(0) == os.getpgid(0) == os.getpid(), os.getcwd())"
        )
        await run(launch)
    assert launch.log_path.read_text().splitlines() == ["3 True", "0 0", f"True {tmp_path}"]


async def test_a_stage_that_breaks_a_pipe_dies_of_it_like_anywhere(script):
    launch = replace(script(""), argv=["/bin/sh", "-c", "(while echo y; do :; done) | head -n 1"])
    assert (await asyncio.wait_for(run(launch), 10)).exit_code == 0


# Nothing outlives its stage


LEAVE_BEHIND = """
if os.fork() == 0:
    say("child"); forever()
if os.fork() == 0:
    os.setsid(); say("setsid"); forever()
if os.fork() == 0:
    daemonise(); say("daemon")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    forever()
"""
LEFT_BEHIND = ("child", "setsid", "daemon")


async def test_nothing_outlives_the_end_of_a_stage(script, lifeline, tmp_path):
    os.mkfifo(tmp_path / "go")
    process = await local.start(script(f"{LEAVE_BEHIND}open('go').read(); sys.exit(4)"))
    await asyncio.to_thread(lifeline.hear, *LEFT_BEHIND)
    (tmp_path / "go").write_text("go")
    exit_ = await process.wait()
    assert lifeline.is_cut()
    assert (exit_.exit_code, exit_.killed) == (4, True)


async def test_nothing_outlives_a_kill(script, lifeline):
    process = await local.start(script(f"signal.signal(signal.SIGTERM, signal.SIG_IGN){LEAVE_BEHIND}say('main'); forever()"))
    await asyncio.to_thread(lifeline.hear, *LEFT_BEHIND, "main")
    process.terminate()
    process.kill()
    exit_ = await process.wait()
    assert lifeline.is_cut()
    assert (exit_.signal, exit_.killed) == (signal.SIGKILL, True)


async def test_a_process_that_forks_on_and_on_is_caught(script, lifeline, tmp_path):
    os.mkfifo(tmp_path / "go")
    hop = "if os.fork() == 0:\n    say()\n    while True:\n        os.fork() and os._exit(0)\n        os.setsid()\n"
    process = await local.start(script(f"{hop}open('go').read()"))
    await asyncio.to_thread(lifeline.hear, "here")
    (tmp_path / "go").write_text("go")
    await asyncio.wait_for(process.wait(), 20)
    assert lifeline.is_cut()


async def test_a_stage_that_waited_for_its_children_needed_no_kill(script):
    exit_ = await run(script("if os.fork() == 0: os._exit(0)\nos.wait()"))
    assert (exit_.exit_code, exit_.killed) == (0, False)


async def test_a_request_to_end_reaches_the_whole_process_group(script, lifeline):
    leave = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(85))\n"
    child = "child = os.fork()\nif child == 0:\n    say('child'); forever()\n"
    wait = "say('main')\ntry: forever()\nfinally: print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    launch = script(leave + child + wait)
    process = await local.start(launch)
    await asyncio.to_thread(lifeline.hear, "child", "main")
    process.terminate()
    exit_ = await process.wait()
    assert (exit_.exit_code, exit_.killed) == (85, False)
    assert launch.log_path.read_text() == "85\n"


async def test_a_supervisor_takes_no_order_to_end_but_from_its_worker(script, lifeline):
    process = await local.start(script("say(); forever()"))
    await asyncio.to_thread(lifeline.hear, "here")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(int(process.handle), number)
    assert not lifeline.is_cut(within_s=0.1)
    process.kill()
    assert (await process.wait()).explanation is None


# Nothing outlives its worker


WORKER = """
import asyncio, sys, uvloop
from pathlib import Path
from workers.executors import local
from workers.executors.base import Launch

async def main():
    path = Path(sys.argv[2])
    stage = await local.start(Launch([sys.executable, str(path)], {}, path.parent, path.with_suffix(".log"), 1000))
    print(stage.handle, flush=True)
    await stage.wait()

{"asyncio": asyncio, "uvloop": uvloop}[sys.argv[1]].run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_nothing_outlives_its_worker(script, lifeline, loop, number):
    launch = script(f"signal.signal(signal.SIGTERM, signal.SIG_IGN){LEAVE_BEHIND}say('main'); forever()")
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, loop, launch.argv[-1]],
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    with worker:
        lifeline.hear(*LEFT_BEHIND, "main")
        supervisor = os.pidfd_open(int(worker.stdout.readline()))
        worker.send_signal(number)
    assert worker.returncode == -number
    assert lifeline.is_cut(within_s=10)
    assert wait_for_end(supervisor, 10)


def wait_for_end(pidfd: int, within_s: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(within_s * 1000))


def test_nothing_outlives_its_event_loop(script, lifeline):
    async def lose_it() -> None:
        await local.start(script(f"{LEAVE_BEHIND}say('main'); forever()"))
        await asyncio.to_thread(lifeline.hear, *LEFT_BEHIND, "main")

    asyncio.run(lose_it())
    assert lifeline.is_cut()


async def test_a_stage_that_kills_its_supervisor_takes_nothing_with_it(script, lifeline):
    neighbour = await local.start(script("say('neighbour'); sys.stdin.read(); time.sleep(0.2)", name="neighbour"))
    poison = f"{LEAVE_BEHIND}say('main'); sys.stdin.read(); os.kill(os.getppid(), signal.SIGKILL); forever()"
    process = await local.start(script(poison))
    exit_ = await process.wait()
    assert (exit_.exit_code, exit_.signal, exit_.killed) == (None, signal.SIGKILL, True)
    assert "supervisor" in exit_.explanation
    assert (await neighbour.wait()).exit_code == 0
    assert lifeline.is_cut(within_s=1)


# What a stage prints


def pattern(size: int) -> bytes:
    return b"".join(b"%09d\n" % n for n in range(size // 10))


TAIL = 64 * 1024
PRINT = "for n in range({size} // 10): print('%09d' % n)"


@pytest.mark.parametrize("size", [0, 10, 100_000, 100_000 + 65_530])
async def test_a_log_that_fits_is_whole(script, size):
    launch = script(PRINT.format(size=size), log_bytes_max=100_000)
    exit_ = await run(launch)
    assert launch.log_path.read_bytes() == pattern(size)
    assert exit_.log_bytes == size


async def test_a_log_that_is_too_long_keeps_its_beginning_and_its_end(script):
    launch = script(PRINT.format(size=1_000_000), log_bytes_max=100_000)
    exit_ = await run(launch)
    left_out = 1_000_000 - 100_000 - TAIL
    printed = pattern(1_000_000)
    marker = b"\n[headway: %d bytes left out]\n" % left_out
    assert launch.log_path.read_bytes() == printed[:100_000] + marker + printed[-TAIL:]
    assert exit_.log_bytes == 1_000_000


async def test_errors_and_output_come_in_their_order(script):
    launch = script("os.write(1, b'a\\n'); os.write(2, b'b\\n'); os.write(1, b'c\\n')")
    await run(launch)
    assert launch.log_path.read_text() == "a\nb\nc\n"


async def test_a_stage_may_close_its_output(script, lifeline):
    launch = script("print('bye', flush=True); os.closerange(0, 3); say(); time.sleep(0.1); sys.exit(5)")
    exit_ = await run(launch)
    assert exit_.exit_code == 5
    assert exit_.cpu_s < 1


async def test_a_flood_of_output_is_felt_by_nobody(script, lifeline, tmp_path):
    os.mkfifo(tmp_path / "go")
    flood = "chunk = b'x' * 65535 + b'\\n'\nfor _ in range(1600): os.write(1, chunk)\nsay(); open('go').read()"
    launch = script(flood, log_bytes_max=200_000)
    longest_pause = asyncio.create_task(watch_the_loop())
    process = await local.start(launch)
    await asyncio.to_thread(lifeline.hear, "here")
    supervisor = dict(line.split(":", 1) for line in Path(f"/proc/{process.handle}/status").read_text().splitlines())
    (tmp_path / "go").write_text("go")
    exit_ = await process.wait()
    longest_pause.cancel()
    assert exit_.log_bytes == 1600 * 65536
    assert launch.log_path.stat().st_size < 200_000 + TAIL + 100
    assert int(supervisor["VmHWM"].split()[0]) < 32 * 1024
    with pytest.raises(asyncio.CancelledError, match=r"0\.[01]"):
        await longest_pause


async def test_a_full_disk_ends_the_log_and_not_the_stage(script):
    launch = replace(script("print('x' * 100_000)"), log_path=Path("/dev/full"))
    exit_ = await run(launch)
    assert (exit_.exit_code, exit_.log_bytes) == (0, 100_001)
