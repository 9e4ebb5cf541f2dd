"""The supervisor of one stage: no process of the stage outlives the stage or its worker.

The worker starts this file as a program in a session of its own and talks to it by pipes:

- stdin, from the worker: the launch (see ``read_launch``), then ``T`` (SIGTERM to the stage's process group) or ``K``
  (SIGKILL to everything). Its end means that the worker has died, however that happened, and counts as ``K``.
- stdout, to the worker, as lines of Python literals: ``{'pid': …}``, and ``{'exit': …}`` when nothing of the stage is
  left. (Whatever else comes there is a traceback.)

A stage ends with its main process. What that one leaves behind is killed before the exit is reported: its process group
at once, and then whatever had left the group (setsid, double fork), because orphans become children of their nearest
subreaper, which is this process. Should this process itself be killed, the kernel kills the main process, and the
worker looks for the others. Where there is no prctl (macOS), the process group is all that can be found.

It stands in the way of every start, so it imports little: an interpreter with ctypes takes 14 ms, and typing, json,
contextlib and the enums of ``signal`` would double that.
"""

import _signal as signal  # type: ignore[import-not-found]
import ctypes
import os
import select
import sys

CONTROL = 0
REPORT = 1
READ_BYTES = 64 * 1024
TAIL_BYTES = 64 * 1024
PIPE_BYTES_MAX = 1024 * 1024
PROBLEM_CHARS_MAX = 1_000
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


class Log:
    """The stage's output: its beginning as it comes, its last bytes at the end, never more than that in memory."""

    def __init__(self, path: bytes, bytes_max: int) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        self.room = bytes_max
        self.total = 0
        self.left_out = 0
        self.tail = bytearray()

    def copy(self, output: int) -> bool:
        """Take what the pipe holds; false at its end."""
        chunk = os.read(output, READ_BYTES)
        head = chunk[: self.room]
        written = self.append(head)
        # A full disk ends the log as a full log does, and never the stage.
        self.room = self.room - written if written == len(head) else 0
        self.total += len(chunk)
        self.tail += chunk[written:]
        if len(self.tail) > 2 * TAIL_BYTES:
            self.trim()
        return bool(chunk)

    def append(self, chunk: bytes) -> int:
        """Write to the file; return how many of the bytes found room on the disk."""
        written = 0
        try:
            while written < len(chunk):
                written += os.write(self.file, chunk[written:])
        except OSError:
            return written
        return written

    def trim(self) -> None:
        """Forget all but the last bytes of what had no room."""
        surplus = max(0, len(self.tail) - TAIL_BYTES)
        self.left_out += surplus
        del self.tail[:surplus]

    def finish(self) -> None:
        """Write the end of an output that was too long."""
        self.trim()
        if self.left_out:
            self.append(b"\n[headway: %d bytes left out]\n" % self.left_out)
        self.append(bytes(self.tail))


class Family:
    """The main process of a stage and its descendants."""

    def __init__(self, main: int) -> None:
        self.main = main
        self.status: int | None = None
        self.killed = False
        self.cpu_s = 0.0
        self.max_rss = 0

    def reap(self, *, wait: bool = False) -> bool:
        """Note which children have ended, after waiting for one if asked to; false when none is left."""
        flags = 0 if wait else os.WNOHANG
        while True:
            try:
                pid, status, usage = os.wait4(-1, flags)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.main:
                self.status = status
            self.cpu_s += usage.ru_utime + usage.ru_stime
            self.max_rss = max(self.max_rss, usage.ru_maxrss)
            flags = os.WNOHANG

    def signal_group(self, number: int) -> bool:
        """Signal the whole process group in one step, which no fork can slip through; false if it is empty."""
        try:
            os.killpg(self.main, number)
        except OSError:
            return False
        return True

    def end(self) -> None:
        """SIGKILL until nothing is left."""
        self.killed = self.signal_group(signal.SIGKILL)
        while self.reap():
            # Only our own children, since nobody else can get the pid of a child that we have not waited for. The
            # children of those killed here are ours in the next round.
            for pid in children():
                self.killed = kill(pid) or self.killed
            self.reap(wait=True)

    def exit(self) -> dict[str, object]:
        """Tell how the main process ended and what all of them used."""
        code = os.waitstatus_to_exitcode(self.status or 0)
        return {
            "exit_code": code if code >= 0 else None,
            "signal": -code if code < 0 else None,
            "max_rss_bytes": self.max_rss * RSS_UNIT_BYTES,
            "cpu_s": self.cpu_s,
            "killed": self.killed,
        }


def children() -> list[int]:
    """Find the processes whose parent is this one; the kernel's own list of them is an option that some lack."""
    if sys.platform != "linux":
        return []
    me = b"%d" % os.getpid()
    entries = os.listdir("/proc")  # noqa: PTH208 - pathlib is slow to load.
    return [int(entry) for entry in entries if entry.isdigit() and parent(entry) == me]


def parent(entry: str) -> bytes:
    """Read a process's parent from ``/proc``; empty if the process has gone."""
    try:
        with open(f"/proc/{entry}/stat", "rb") as stat:  # noqa: PTH123 - pathlib is slow to load.
            # "pid (command) state parent …", and the command may hold spaces and brackets.
            return stat.read().rpartition(b")")[2].split()[1]
    except (OSError, IndexError):
        return b""


def kill(pid: int) -> bool:
    """SIGKILL a child; false if it has changed its user, so that all we can do is wait for its end."""
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return True


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process, where there is such a call."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def read_exactly(size: int) -> bytes:
    """Read from the worker; end this program, which has not started anything yet, if the worker ends."""
    data = bytearray()
    while len(data) < size:
        chunk = os.read(CONTROL, size - len(data))
        if not chunk:
            sys.exit()
        data += chunk
    return bytes(data)


def read_launch() -> tuple[bytes, bytes, int, list[bytes], dict[bytes, bytes]]:
    """Read working directory, log path, log size, arguments and environment.

    They come as fields joined by NUL, which none of them can contain, behind eight bytes with the length of it all.
    """
    size = int.from_bytes(read_exactly(8), "big")
    cwd, log_path, log_bytes_max, argc, *rest = read_exactly(size).split(b"\0")
    argv, variables = rest[: int(argc)], rest[int(argc) :]
    return cwd, log_path, int(log_bytes_max), argv, dict(variable.split(b"=", 1) for variable in variables)


def spawn(argv: list[bytes], environment: dict[bytes, bytes], cwd: bytes, output: int) -> tuple[int, str]:
    """Start the main process; return its pid and what went wrong, which is nothing if it runs."""
    supervisor = os.getpid()
    problem, problem_end = os.pipe()  # Closed by a successful exec, like every descriptor of ours but 0, 1 and 2.
    pid = os.fork()
    if pid == 0:
        try:
            become(argv, environment, cwd, output, supervisor)
        except OSError as error:
            text = f"{error.strerror}: {os.fsdecode(error.filename or argv[0])}"
            os.write(problem_end, text[:PROBLEM_CHARS_MAX].encode(errors="replace"))
        except ValueError as error:
            os.write(problem_end, str(error)[:PROBLEM_CHARS_MAX].encode(errors="replace"))
        finally:
            os._exit(127)
    os.close(problem_end)
    os.close(output)
    return pid, os.read(problem, READ_BYTES).decode()


def become(argv: list[bytes], environment: dict[bytes, bytes], cwd: bytes, output: int, supervisor: int) -> None:
    """Turn the forked process into the stage's main process."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # It died before the kernel knew that this one is to go with it.
        return
    os.setsid()
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)  # What Python and the worker ignore would stay ignored over the exec.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(cwd)
    try:
        os.execvpe(argv[0], argv, environment)  # noqa: S606 - an argument list, no shell.
    except OSError as error:
        error.filename = argv[0]  # Not the last folder of PATH that was searched.
        raise


def supervise(family: Family, output: int, log: Log, wake: int) -> None:
    """Copy output and obey the worker until the main process has ended or everything is to end."""
    poll = select.poll()
    for descriptor in (CONTROL, output, wake):
        poll.register(descriptor, select.POLLIN)
    while family.status is None:
        for descriptor, _ in poll.poll():
            if descriptor == output:
                if not log.copy(output):
                    poll.unregister(output)
            elif descriptor == wake:
                os.read(wake, READ_BYTES)
                family.reap()
            elif os.read(CONTROL, 1) == b"T":
                family.signal_group(signal.SIGTERM)
            else:
                return


def drain(output: int, log: Log) -> None:
    """Take what is left in the pipe, at most a pipe's size: a stranger who was handed it may still hold it open."""
    os.set_blocking(output, False)
    try:
        for _ in range(PIPE_BYTES_MAX // READ_BYTES):
            if not log.copy(output):
                return
    except BlockingIOError:
        return


def set_signals() -> int:
    """Take the order to end from the worker alone; return a pipe that becomes readable when a child has ended."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    wake, wake_end = os.pipe()
    os.set_blocking(wake_end, False)
    signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return wake


def report(message: dict[str, object]) -> None:
    """Tell the worker; if it has died, the control pipe says so."""
    try:
        os.write(REPORT, f"{message!r}\n".encode())
    except BrokenPipeError:
        return


def run() -> dict[str, object]:
    """Run one stage to its end; return how that was."""
    wake = set_signals()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    cwd, log_path, log_bytes_max, argv, environment = read_launch()
    try:
        log = Log(log_path, log_bytes_max)
        output, output_end = os.pipe()
        pid, problem = spawn(argv, environment, cwd, output_end)
    except OSError as error:
        return {"spawn_error": str(error)}
    if problem:
        return {"spawn_error": problem}
    family = Family(pid)
    report({"pid": pid})
    try:
        supervise(family, output, log, wake)
    finally:
        family.end()
    drain(output, log)
    log.finish()
    return {**family.exit(), "log_bytes": log.total}


if __name__ == "__main__":
    report({"exit": run()})
    os._exit(0)
