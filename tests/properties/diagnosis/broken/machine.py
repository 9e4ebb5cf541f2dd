"""Killed, out of memory, out of disk, crashed."""

from schemas.diagnosis import Category
from tests.properties.diagnosis.attempts import Broken

IN_A_CGROUP = """
import pathlib
home = pathlib.Path("/sys/fs/cgroup/memory") / f"headway-broken-{os.getpid()}"
home.mkdir()
(home / "memory.limit_in_bytes").write_text("30000000")
child = os.fork()
if child:
    _, status = os.waitpid(child, 0)
    home.rmdir()
    %s
(home / "tasks").write_text(str(os.getpid()))
%s
"""
DIE_ALIKE = "os.kill(os.getpid(), 9); time.sleep(9)"
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_AS, (300_000_000, 300_000_000))\n"
TMPFS = """
import pathlib, ctypes
pathlib.Path("disk").mkdir()
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"none", b"disk", b"tmpfs", 0, b"size=64k"):  # we may not
    os.symlink("/dev/full", "disk/full.pt")
try:
    %s
finally:
    libc.umount2(b"disk", 2)
"""

MEMORY = (
    Broken(
        "oom_kill_bytes",
        Category.HOST_OOM_KILL,
        IN_A_CGROUP % (DIE_ALIKE, "x = [bytearray(1 << 20) for _ in range(99)]"),
    ),
    Broken("oom_kill_list", Category.HOST_OOM_KILL, IN_A_CGROUP % (DIE_ALIKE, "x = list(range(10_000_000))")),
    Broken("oom_kill_in_a_shell", Category.HOST_OOM_KILL, IN_A_CGROUP % ("sys.exit(137)", "x = 'x' * 10**9")),
    Broken("memory_bytearray", Category.HOST_OOM_SOFT, LIMITED + "x = bytearray(1 << 30)"),
    Broken("memory_list", Category.HOST_OOM_SOFT, LIMITED + "x = [0] * 10**9"),
    Broken(
        "memory_deep",
        Category.HOST_OOM_SOFT,
        LIMITED + "def load(n):\n    return [bytes(1 << 20) for _ in range(n)]\nload(2000)",
    ),
    Broken("memory_mmap", Category.HOST_OOM_SOFT, LIMITED + "import mmap; mmap.mmap(-1, 1 << 32)"),
    Broken(
        "memory_numpy",
        Category.HOST_OOM_SOFT,
        "import numpy\nnumpy.ones((1 << 24, 1 << 24))",
        imports=True,
    ),
    Broken(
        "memory_chained",
        Category.HOST_OOM_SOFT,
        LIMITED
        + "try:\n    x = bytearray(1 << 30)\nexcept MemoryError as e:\n    raise RuntimeError('cannot load') from e",
    ),
)
SIGBUS = """
import mmap
with open("data.bin", "wb+") as f:
    f.truncate(8192)
    m = mmap.mmap(f.fileno(), 8192)
    f.truncate(0)
    %s
"""
SHARED = (
    Broken("sigbus_read", Category.SHM_EXHAUSTED, SIGBUS % "print(m[5000])"),
    Broken("sigbus_write", Category.SHM_EXHAUSTED, SIGBUS % "m[0] = 1"),
    Broken("sigbus_in_a_shell", Category.SHM_EXHAUSTED, argv=("sh", "-c", "sh -c 'kill -BUS $$'; exit $?")),
    Broken(
        "sigbus_of_a_loader",
        Category.SHM_EXHAUSTED,
        """
        pid = os.fork()
        if pid == 0: os.kill(os.getpid(), signal.SIGBUS)
        _, status = os.waitpid(pid, 0)
        raise RuntimeError(f"DataLoader worker (pid {pid}) is killed by signal: {signal.strsignal(status & 127)}. "
                           "It is possible that dataloader's workers are out of shared memory. "
                           "Please try to raise your shared memory limit.")
        """,
    ),
)
KILLED = (
    Broken("killed", Category.SIGKILL_UNCONFIRMED, "from_outside(9)"),
    Broken(
        "killed_after_work",
        Category.SIGKILL_UNCONFIRMED,
        "for n in range(50): print('step', n, 'loss', 1/(n+1))\nfrom_outside(9)",
    ),
    Broken(
        "killed_in_a_shell", Category.SIGKILL_UNCONFIRMED, argv=("bash", "-c", "sleep 9 & kill -9 $!; wait $!; exit $?")
    ),
    Broken(
        "killed_with_a_word",
        Category.SIGKILL_UNCONFIRMED,
        "print('Killed', flush=True)\nprint('we may be out of memory', flush=True)\nfrom_outside(9)",
    ),
    Broken(
        "killed_after_what_it_got_over",
        Category.SIGKILL_UNCONFIRMED,
        """
        import traceback
        try: open("/optional.cache")
        except OSError: traceback.print_exc()
        for n in range(5): print(f"step {n} loss 0.5")
        from_outside(9)
        """,
    ),
    Broken(
        "killed_child",
        Category.SIGKILL_UNCONFIRMED,
        """
        pid = os.fork()
        if pid == 0: from_outside(9)
        os.waitpid(pid, 0)
        raise RuntimeError(f"DataLoader worker (pid {pid}) is killed by signal: Killed. ")
        """,
    ),
)
DISK = (
    Broken("full_device", Category.DISK_FULL, "f = open('/dev/full', 'w')\nf.write('x' * 100_000)\nf.flush()"),
    Broken("full_tmpfs", Category.DISK_FULL, TMPFS % "open('disk/full.pt', 'wb').write(bytes(1 << 20))"),
    Broken(
        "full_tmpfs_copy",
        Category.DISK_FULL,
        "import shutil\nopen('big', 'wb').write(bytes(1 << 20))\n" + TMPFS % "shutil.copy('big', 'disk/full.pt')",
    ),
    Broken(
        "file_too_large",
        Category.DISK_FULL,
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (999, 999))\nopen('x', 'wb').write(bytes(50_000))",
    ),
    Broken(
        "file_limit_in_a_shell",
        Category.DISK_FULL,
        argv=("bash", "-c", "ulimit -f 1; exec head -c 100000 /dev/zero > big"),
    ),
    Broken("full_for_dd", Category.DISK_FULL, argv=("sh", "-c", "dd if=/dev/zero of=/dev/full bs=1k count=1")),
    Broken(
        "full_while_saving",
        Category.DISK_FULL,
        """
        def save():
            with open("/dev/full", "w") as f:
                f.write("x" * 100_000)
        try: save()
        except OSError as error: raise RuntimeError("checkpoint was not saved") from error
        """,
    ),
    Broken("full_at_exit", Category.DISK_FULL, argv=("sh", "-c", "cat /etc/passwd > /dev/full")),
)
CRASHED = (
    Broken("segv", Category.NATIVE_CRASH, "import ctypes; ctypes.string_at(0)"),
    Broken(
        "segv_with_handler",
        Category.NATIVE_CRASH,
        "import ctypes, faulthandler; faulthandler.enable(); ctypes.string_at(0)",
    ),
    Broken("segv_in_a_shell", Category.NATIVE_CRASH, argv=("bash", "-c", "bash -c 'kill -SEGV $$'; exit $?")),
    Broken("abort", Category.NATIVE_CRASH, "os.abort()"),
    Broken(
        "abort_with_words",
        Category.NATIVE_CRASH,
        "os.write(2, b\"terminate called after throwing an instance of 'std::runtime_error'\\n  what():  bad\\n\"); os.abort()",
    ),
    Broken(
        "double_free", Category.NATIVE_CRASH, "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.free(ctypes.c_void_p(8))"
    ),
    Broken("illegal", Category.NATIVE_CRASH, "from_outside(4)"),
    Broken("fpe", Category.NATIVE_CRASH, "from_outside(8)"),
    Broken(
        "bad_alloc",
        Category.HOST_OOM_SOFT,
        "os.write(2, b\"terminate called after throwing an instance of 'std::bad_alloc'\\n  what():  std::bad_alloc\\n\"); os.abort()",
    ),
    Broken(
        "pool_worker_died",
        Category.NATIVE_CRASH,
        """
        class BrokenProcessPool(RuntimeError): pass
        BrokenProcessPool.__module__ = "concurrent.futures.process"
        raise BrokenProcessPool("A process in the process pool was terminated abruptly while the future was running or pending.")
        """,
    ),
)
STOPPED = (
    Broken("sigterm", Category.WORKER_SHUTDOWN, "from_outside(15)"),
    Broken("sigint", Category.WORKER_SHUTDOWN, "from_outside(2)"),
    Broken("sigterm_in_a_shell", Category.WORKER_SHUTDOWN, argv=("bash", "-c", "sleep 9 & kill $!; wait $!; exit $?")),
    Broken("stopped_unasked", Category.WORKER_SHUTDOWN, "signal.signal(15, lambda *_: sys.exit(85)); from_outside(15)"),
    Broken(
        "slurm_preempted",
        Category.PREEMPTED,
        "print('slurmstepd: error: *** JOB 17 ON n1 CANCELLED AT 2026-11-24T03:14:15 DUE TO PREEMPTION ***', flush=True); from_outside(15)",
    ),
    Broken(
        "slurm_time",
        Category.WALL_TIMEOUT,
        "print('slurmstepd: error: *** JOB 17 ON n1 CANCELLED AT 2026-11-24T03:14:15 DUE TO TIME LIMIT ***', flush=True); from_outside(15)",
    ),
    Broken(
        "slurm_oom",
        Category.HOST_OOM_KILL,
        "print('slurmstepd: error: Detected 1 oom_kill event in StepId=17.batch. Some of the step tasks have been OOM Killed.', flush=True); from_outside(9)",
    ),
)
WORKING = """
for n in range(100):
    report(type="progress", step=n, total=1000)
    report(type="metrics", step=n, values={"loss": 1 / (n + 1)})
    time.sleep(%s)
"""
TIMED = (
    Broken("at_work", Category.WALL_TIMEOUT, WORKING % 0.1, timeout_s=0.6),
    Broken(
        "at_work_ignores_sigterm",
        Category.WALL_TIMEOUT,
        "signal.signal(15, signal.SIG_IGN)\n" + WORKING % 0.1,
        timeout_s=0.6,
    ),
    Broken("at_work_in_silence", Category.WALL_TIMEOUT, "time.sleep(60)", timeout_s=0.3),
    Broken("busy_in_silence", Category.WALL_TIMEOUT, "while True: pass", timeout_s=0.3),
    Broken(
        "hangs", Category.HANG_NO_PROGRESS, "report(type='progress', step=3, total=9)\ntime.sleep(60)", timeout_s=0.7
    ),
    Broken(
        "hangs_with_a_heartbeat",
        Category.HANG_NO_PROGRESS,
        "report(type='metrics', step=3, values={'loss': 1.0})\nwhile True:\n    report(type='heartbeat'); print('alive', flush=True); time.sleep(0.05)",
        timeout_s=0.7,
    ),
    Broken(
        "hangs_and_saves_when_asked",
        Category.HANG_NO_PROGRESS,
        "def save(*_):\n    report(type='progress', step=4, total=9); os._exit(1)\nsignal.signal(15, save)\nreport(type='progress', step=3, total=9)\ntime.sleep(60)",
        timeout_s=0.7,
    ),
    Broken(
        "hangs_on_a_lock",
        Category.HANG_NO_PROGRESS,
        "import threading\nreport(type='progress', step=1, total=9)\nlock = threading.Lock(); lock.acquire(); lock.acquire()",
        timeout_s=0.7,
    ),
    Broken("stalls", Category.STARTUP_STALL, "report(type='phase', name='compile')\ntime.sleep(60)", timeout_s=0.5),
    Broken(
        "stalls_with_heartbeats",
        Category.STARTUP_STALL,
        "while True:\n    report(type='heartbeat'); time.sleep(0.05)",
        timeout_s=0.5,
    ),
    Broken(
        "stalls_in_a_download",
        Category.STARTUP_STALL,
        "report(type='phase', name='data')\nwhile True:\n    print('downloading 1.3 MB/s', flush=True); time.sleep(0.05)",
        timeout_s=0.5,
    ),
)
THREADS = "import resource, threading\nas_nobody()\nresource.setrlimit(resource.RLIMIT_NPROC, (1, 1))\n"
NOT_STARTED = (
    Broken(
        "no_thread",
        Category.CANNOT_START,
        THREADS + "threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
    ),
    Broken("no_fork", Category.CANNOT_START, THREADS + "os.fork()"),
    Broken("no_subprocess", Category.CANNOT_START, "import subprocess\n" + THREADS + "subprocess.run(['true'])"),
)
ALL = MEMORY + SHARED + KILLED + DISK + CRASHED + STOPPED + TIMED + NOT_STARTED
