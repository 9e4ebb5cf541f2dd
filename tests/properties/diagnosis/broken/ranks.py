"""Several ranks at once, of which one fails first and the others fail because of it; and what was only said in passing."""

from schemas.diagnosis import Category
from tests.properties.diagnosis.attempts import Broken

# Each rank is a process; what they print comes through one pipe, in the order in which it was said.
RANKS = """
import subprocess, threading
FIRST = %r
OTHER = "raise RuntimeError('[../gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.7]:49722')"
def rank(n, code, before):
    before and before.wait()
    p = subprocess.Popen([sys.executable, "-I", "-S", "-c", "for n in range(3): print('step', n, 'loss', 0.5)\\n" + code],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in p.stdout: sys.stdout.write(%r.format(n) + line)
    p.wait()
    return p
died = threading.Event()
threads = []
others = [threading.Thread(target=rank, args=(n, OTHER, died)) for n in (0, 2)]
for t in others: t.start()
rank(1, FIRST, None); died.set()
for t in others: t.join()
print("torch.distributed.elastic.multiprocessing.errors.ChildFailedError: train.py FAILED")
sys.exit(1)
"""
FAULTS = {
    "nothing_there": (Category.MISSING_FILE, "open('/data/shard-7')"),
    "gpu_memory": (Category.GPU_OOM, "raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB')"),
    "full": (Category.DISK_FULL, "f = open('/dev/full', 'w'); f.write('x' * 100000); f.flush()"),
    "value": (Category.USER_EXCEPTION, "def f(): raise ValueError('bad')\nf()"),
    "text": (Category.BAD_SAMPLE, "b'\\xff'.decode()"),
}
PREFIXES = {"torchrun": "[rank{}]: ", "mpirun": "[1,{}]<stderr>:", "compose": "trainer-{}  | "}
INTERLEAVED = tuple(
    Broken(f"{fault}_by_{prefix}", category, RANKS % (code, PREFIXES[prefix]))
    for (fault, (category, code)), prefix in zip(FAULTS.items(), [*PREFIXES, "torchrun", "mpirun"], strict=True)
)
UNMARKED = (Broken("value_unmarked", Category.USER_EXCEPTION, RANKS % (FAULTS["value"][1], "")),)
PASSING = "import traceback, logging\nlogging.basicConfig()\n"
IN_PASSING = (
    Broken(
        "optional_import",
        Category.USER_EXCEPTION,
        PASSING + "try: import nothing_there\nexcept ImportError: traceback.print_exc()\nraise ValueError('bad')",
    ),
    Broken(
        "logged_retry",
        Category.USER_EXCEPTION,
        PASSING
        + "for n in range(3):\n    try: open('/nowhere')\n    except OSError: logging.exception('retrying')\nraise ValueError('bad')",
    ),
    Broken(
        "got_over_full_disk",
        Category.USER_EXCEPTION,
        PASSING
        + "print('rm: No space left on device')\nfor n in range(9): print(f'step {n} loss 0.5')\nraise ValueError('bad')",
    ),
    Broken(
        "warned",
        Category.USER_EXCEPTION,
        PASSING
        + "logging.warning('CUDA out of memory, falling back to the CPU')\nprint('UserWarning: Address already in use')\nraise ValueError('bad')",
    ),
    Broken(
        "tells_after",
        Category.USER_EXCEPTION,
        "import atexit\natexit.register(print, 'hint: if you see CUDA out of memory, reduce the batch')\nraise ValueError('bad')",
    ),
    Broken(
        "source_lines",
        Category.USER_EXCEPTION,
        "def f(e):\n    if 'No space left on device' in e or 'Xid (PCI): 79' in e: raise ValueError('bad')  # CUDA out of memory\nf('No space left on device')",
    ),
    Broken(
        "fallback_fails",
        Category.NETWORK_FLAKE,
        "try: import nothing_there\nexcept ImportError:\n    import socket\n    s = socket.socket(); s.bind(('127.0.0.1', 0)); a = s.getsockname(); s.close(); socket.create_connection(a)",
    ),
)
HEALS = "first = not os.path.exists('again'); open('again', 'w')\nif not first: sys.exit(0)\n"
HEALING = (
    Broken("type_once", Category.USER_EXCEPTION, HEALS + "answer = None\nanswer['items']", heals=True),
    Broken("value_once", Category.USER_EXCEPTION, HEALS + "int('')", heals=True),
    Broken("assert_once", Category.USER_EXCEPTION, HEALS + "assert not first", heals=True),
    Broken("attribute_once", Category.USER_EXCEPTION, HEALS + "None.items()", heals=True),
    Broken("key_once", Category.USER_EXCEPTION, HEALS + "{}['items']", heals=True),
    Broken("config_once", Category.BAD_ARGUMENTS, HEALS + "config = {}\nconfig['rate']", heals=True),
    Broken(
        "runtime_once", Category.USER_EXCEPTION, HEALS + "raise RuntimeError('the service is not ready')", heals=True
    ),
    Broken("file_once", Category.MISSING_FILE, HEALS + "open('made-later')", heals=True),
    Broken(
        "full_once",
        Category.DISK_FULL,
        HEALS + "f = open('/dev/full', 'w'); f.write('x' * 100000); f.flush()",
        heals=True,
    ),
    Broken(
        "permission_once",
        Category.PERMISSION,
        HEALS + "raise PermissionError(13, 'Permission denied', 'made-later')",
        heals=True,
    ),
    Broken("json_once", Category.BAD_SAMPLE, HEALS + "import json\njson.loads('')", heals=True),
    Broken("killed_once", Category.SIGKILL_UNCONFIRMED, HEALS + "from_outside(9)", heals=True),
    Broken("segv_once", Category.NATIVE_CRASH, HEALS + "import ctypes; ctypes.string_at(0)", heals=True),
    Broken(
        "import_once",
        Category.USER_EXCEPTION,
        HEALS + "try: import nothing_there\nexcept ImportError: int('')",
        heals=True,
    ),
    Broken("index_once", Category.USER_EXCEPTION, HEALS + "[][0]", heals=True),
    Broken("exit_127_once", Category.COMMAND_NOT_FOUND, HEALS + "sys.exit(127)", heals=True),
    Broken(
        "validation_once",
        Category.BAD_ARGUMENTS,
        HEALS + "class ValidationError(Exception): pass\nraise ValidationError('1 validation error for Answer')",
        heals=True,
    ),
    Broken("program_once", Category.COMMAND_NOT_FOUND, HEALS + "os.execl('./made-later', 'x')", heals=True),
    Broken("exit_2_once", Category.UNKNOWN, HEALS + "sys.exit(2)", heals=True),
)
ALL = INTERLEAVED + UNMARKED + IN_PASSING + HEALING
