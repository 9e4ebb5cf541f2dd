"""Programs that were written when the rules were finished, to see what those say of what they were not made for.

Three times: of the first 86 they knew 57, of the next 52 (``SECOND``) 40, of the last 33 (``THIRD``) 25. Of the others all
but four were left to ``unknown`` or ``user_exception``, and none was falsely given up. Then the rules learned them.
"""

from schemas.diagnosis import Category
from tests.properties.diagnosis.attempts import Broken


def said(module: str, kind: str, text: str) -> str:
    """A program that ends by an exception of a library that is not here."""
    return f"class {kind}(Exception): pass\n{kind}.__module__ = {module!r}\nraise {kind}({text!r})"


def sh(script: str) -> tuple[str, ...]:
    return ("bash", "-c", script)


MACHINE = (
    Broken("later_numpy_zeros", Category.HOST_OOM_SOFT, "import numpy\nnumpy.zeros(10**14) + 1", imports=True),
    Broken(
        "later_ulimit",
        Category.HOST_OOM_SOFT,
        argv=sh("ulimit -v 300000; python3 -I -S -c 'x = bytearray(10**9)'; exit $?"),
    ),
    Broken(
        "later_java_heap",
        Category.HOST_OOM_SOFT,
        "print('Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space\\n\\tat Main.main(Main.java:3)'); sys.exit(1)",
    ),
    Broken("later_cp", Category.DISK_FULL, argv=sh("cp /etc/passwd /dev/full")),
    Broken("later_tee", Category.DISK_FULL, argv=sh("set -o pipefail; echo hello | tee /dev/full")),
    Broken(
        "later_sqlite",
        Category.DISK_FULL,
        "import sqlite3\nc = sqlite3.connect('x.db'); c.execute('PRAGMA max_page_count=2'); c.execute('CREATE TABLE t (x)')\nc.execute('INSERT INTO t VALUES (?)', ['x' * 100000])",
    ),
    Broken(
        "later_json_dump", Category.DISK_FULL, "with open('/dev/full', 'w') as f: json.dump(list(range(100000)), f)"
    ),
    Broken(
        "later_child_segv",
        Category.NATIVE_CRASH,
        "import subprocess\nsubprocess.run([sys.executable, '-I', '-S', '-c', 'import os; os.kill(os.getpid(), 11)'], check=True)",
    ),
    Broken(
        "later_child_killed",
        Category.SIGKILL_UNCONFIRMED,
        "import subprocess\nsubprocess.run([sys.executable, '-I', '-S', '-c', 'import os; os.kill(os.getpid(), 9)'], check=True)",
    ),
    Broken("later_shell_segv", Category.NATIVE_CRASH, argv=sh("bash -c 'kill -SEGV $$'; echo finished; exit 1")),
    Broken(
        "later_stack_overflow",
        Category.NATIVE_CRASH,
        "sys.setrecursionlimit(10**7)\nimport ctypes\nf = ctypes.CFUNCTYPE(None)(lambda: f())\nf()",
    ),
    Broken(
        "later_c_assert",
        Category.NATIVE_CRASH,
        'os.write(2, b"train: model.c:31: forward: Assertion `n > 0\' failed.\\n"); os.abort()',
    ),
    Broken(
        "later_pool_died",
        Category.NATIVE_CRASH,
        "import concurrent.futures as f\nif __name__ == '__main__':\n    with f.ProcessPoolExecutor(1) as pool: pool.submit(os._exit, 3).result()",
    ),
    Broken("later_illegal_in_shell", Category.NATIVE_CRASH, argv=sh("bash -c 'kill -ILL $$'; exit $?")),
)
ENVIRONMENT = (
    Broken("later_relative_import", Category.IMPORT_ERROR, "from . import model"),
    Broken(
        "later_circular",
        Category.IMPORT_ERROR,
        "open('a.py', 'w').write('from b import y\\nx = 1'); open('b.py', 'w').write('from a import x\\ny = 1')\nsys.path.insert(0, '.')\nimport a",
    ),
    Broken(
        "later_abi",
        Category.IMPORT_ERROR,
        "raise ImportError('numpy.core.multiarray failed to import (module compiled against ABI version 0x1000009)')",
    ),
    Broken(
        "later_glibc",
        Category.IMPORT_ERROR,
        'raise ImportError("/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38\' not found (required by /x/_C.so)")',
    ),
    Broken("later_env", Category.COMMAND_NOT_FOUND, argv=("env", "python9.9", "train.py")),
    Broken("later_timeout", Category.COMMAND_NOT_FOUND, argv=("timeout", "5", "torchrun-that-is-not-here")),
    Broken("later_nice", Category.COMMAND_NOT_FOUND, argv=("nice", "torchrun-that-is-not-here")),
    Broken(
        "later_sh_script",
        Category.COMMAND_NOT_FOUND,
        argv=sh("printf 'accelerate-not-here launch train.py\\n' > run.sh; sh run.sh"),
    ),
    Broken("later_python_option", Category.BAD_ARGUMENTS, argv=("python3", "--no-such-option")),
    Broken("later_tar_option", Category.BAD_ARGUMENTS, argv=("tar", "--no-such-option")),
    Broken(
        "later_click",
        Category.BAD_ARGUMENTS,
        "print(\"Usage: train [OPTIONS]\\nTry 'train --help' for help.\\n\\nError: No such option: --epoch (Possible options: --epochs)\", file=sys.stderr); sys.exit(2)",
    ),
    Broken("later_getopt", Category.BAD_ARGUMENTS, "import getopt\ngetopt.getopt(['--epoch', '3'], '', ['rate='])"),
    Broken("later_usage_text", Category.BAD_ARGUMENTS, "sys.exit('usage: train.py DATASET EPOCHS')"),
    Broken(
        "later_no_option",
        Category.BAD_ARGUMENTS,
        "import configparser\nc = configparser.ConfigParser(); c.read_string('[train]')\nc.get('train', 'rate')",
    ),
    Broken(
        "later_omegaconf",
        Category.BAD_ARGUMENTS,
        said("omegaconf.errors", "ConfigAttributeError", "Missing key lr\n    full_key: lr"),
    ),
    Broken(
        "later_pydantic",
        Category.BAD_ARGUMENTS,
        "import pydantic\nclass Settings(pydantic.BaseModel): epochs: int\nSettings(epochs='many')",
        imports=True,
    ),
    Broken(
        "later_toml",
        Category.BAD_ARGUMENTS,
        "import tomllib\nopen('config.toml', 'w').write('rate = = 3')\nconfig = tomllib.load(open('config.toml', 'rb'))",
    ),
)
DATA = (
    Broken("later_stat", Category.MISSING_FILE, argv=("cp", "nowhere.csv", "x")),
    Broken("later_tar_file", Category.MISSING_FILE, argv=("tar", "xf", "nowhere.tar")),
    Broken("later_cd", Category.MISSING_FILE, argv=sh("cd nowhere || exit 1")),
    Broken(
        "later_sqlite_file",
        Category.MISSING_FILE,
        "import sqlite3\nsqlite3.connect('file:nowhere/x.db?mode=ro', uri=True).execute('SELECT 1')",
    ),
    Broken(
        "later_hub",
        Category.MISSING_FILE,
        said(
            "datasets.exceptions",
            "DatasetNotFoundError",
            "Dataset 'x/y' doesn't exist on the Hub or cannot be accessed.",
        ),
    ),
    Broken("later_polars_file", Category.MISSING_FILE, "import polars\npolars.read_csv('nowhere.csv')", imports=True),
    Broken(
        "later_s3_denied",
        Category.PERMISSION,
        said(
            "botocore.exceptions",
            "ClientError",
            "An error occurred (AccessDenied) when calling the PutObject operation: Access Denied",
        ),
    ),
    Broken(
        "later_gated",
        Category.PERMISSION,
        said(
            "huggingface_hub.errors",
            "GatedRepoError",
            "403 Client Error. Cannot access gated repo for url https://hub/x.",
        ),
    ),
    Broken(
        "later_readonly",
        Category.PERMISSION,
        "import ctypes\nos.mkdir('d'); libc = ctypes.CDLL(None)\nif os.getuid() or libc.mount(b'none', b'd', b'tmpfs', 1, None): raise OSError(30, 'Read-only file system', 'd/x')\ntry: open('d/x', 'w')\nfinally: libc.umount2(b'd', 2)",
    ),
    Broken(
        "later_touch",
        Category.PERMISSION,
        "import warnings; as_nobody()\nos.execlp('touch', 'touch', '/etc/nobody-may')",
    ),
    Broken("later_xml", Category.BAD_SAMPLE, "import xml.etree.ElementTree as x\nx.fromstring('<a><b></a>')"),
    Broken("later_csv", Category.BAD_SAMPLE, "import csv\ncsv.field_size_limit(10)\nlist(csv.reader(['x' * 100]))"),
    Broken(
        "later_struct",
        Category.BAD_SAMPLE,
        "import struct\nopen('x.bin', 'wb').write(b'123')\nstruct.unpack('<q', open('x.bin', 'rb').read())",
    ),
    Broken(
        "later_image",
        Category.BAD_SAMPLE,
        said("PIL", "UnidentifiedImageError", "cannot identify image file '/data/17.jpg'"),
    ),
    Broken(
        "later_parquet",
        Category.BAD_SAMPLE,
        "import polars\nopen('x.parquet', 'wb').write(b'nonsense' * 50)\npolars.read_parquet('x.parquet')",
        imports=True,
    ),
    Broken(
        "later_npz",
        Category.BAD_SAMPLE,
        "import numpy\nopen('x.npz', 'wb').write(b'PK nonsense')\nnumpy.load('x.npz')",
        imports=True,
    ),
    Broken(
        "later_wave", Category.BAD_SAMPLE, "import wave\nopen('x.wav', 'wb').write(b'nonsense' * 9)\nwave.open('x.wav')"
    ),
    Broken("later_base64", Category.BAD_SAMPLE, "import base64\nbase64.b64decode('abc')"),
    Broken(
        "later_torch_eof",
        Category.CHECKPOINT_CORRUPT,
        "raise RuntimeError('unexpected EOF, expected 93184 more bytes. The file might be corrupted.')",
    ),
    Broken(
        "later_h5",
        Category.CHECKPOINT_CORRUPT,
        "def load_checkpoint(path): raise OSError(f'Unable to synchronously open file (truncated file: eof = 96, sblock->base_addr = 0, stored_eof = 2048)')\nload_checkpoint('x.h5')",
    ),
    Broken(
        "later_incomplete",
        Category.CHECKPOINT_CORRUPT,
        "raise ValueError('Checkpoint directory step-3 is incomplete: optimizer.pt is missing')",
    ),
    Broken(
        "later_npz_checkpoint",
        Category.CHECKPOINT_CORRUPT,
        "import numpy\nnumpy.savez('step-3.npz', w=numpy.ones(999)); d = open('step-3.npz', 'rb').read(); open('step-3.npz', 'wb').write(d[:500])\ncheckpoint = numpy.load('step-3.npz')",
        imports=True,
    ),
    Broken(
        "later_optimizer",
        Category.CHECKPOINT_MISMATCH,
        "raise ValueError(\"loaded state dict contains a parameter group that doesn't match the size of optimizer's group\")",
    ),
    Broken(
        "later_keras",
        Category.CHECKPOINT_MISMATCH,
        "raise ValueError('Layer count mismatch when loading weights from file. Model expected 3 layers, found 2 saved layers.')",
    ),
    Broken(
        "later_flax",
        Category.CHECKPOINT_MISMATCH,
        "raise ValueError('The target dict keys and state dict keys do not match, target dict contains keys {a} which are not present in state dict at path ./params')",
    ),
)
NETWORK = (
    Broken(
        "later_requests",
        Category.NETWORK_FLAKE,
        said(
            "requests.exceptions",
            "ConnectionError",
            "HTTPSConnectionPool(host='hub', port=443): Max retries exceeded with url: /x (Caused by NewConnectionError('Failed to establish a new connection: [Errno 111] Connection refused'))",
        ),
    ),
    Broken(
        "later_ssl",
        Category.NETWORK_FLAKE,
        "import socket, ssl, threading\ns = socket.create_server(('127.0.0.1', 0))\ndef serve():\n    c, _ = s.accept(); c.sendall(b'hello, this is plain text'); c.recv(9999); c.close()\nthreading.Thread(target=serve, daemon=True).start()\nssl.create_default_context().wrap_socket(socket.create_connection(s.getsockname()), server_hostname='x')",
    ),
    Broken(
        "later_boto",
        Category.NETWORK_FLAKE,
        said("botocore.exceptions", "EndpointConnectionError", "Could not connect to the endpoint URL: 'https://s3/x'"),
    ),
    Broken("later_stale", Category.NETWORK_FLAKE, "raise OSError(116, 'Stale file handle', '/mnt/nfs/x')"),
    Broken(
        "later_aiohttp",
        Category.NETWORK_FLAKE,
        said(
            "aiohttp.client_exceptions",
            "ClientConnectorError",
            "Cannot connect to host hub:443 ssl:default [Connection refused]",
        ),
    ),
    Broken(
        "later_redis",
        Category.NETWORK_FLAKE,
        said("redis.exceptions", "ConnectionError", "Error 111 connecting to localhost:6379. Connection refused."),
    ),
    Broken(
        "later_psycopg",
        Category.NETWORK_FLAKE,
        said(
            "psycopg",
            "OperationalError",
            "connection failed: connection to server at 127.0.0.1, port 5432 failed: Connection refused",
        ),
    ),
    Broken(
        "later_read_timeout",
        Category.NETWORK_FLAKE,
        said(
            "urllib3.exceptions",
            "ReadTimeoutError",
            "HTTPSConnectionPool(host='hub', port=443): Read timed out. (read timeout=10)",
        ),
    ),
    Broken(
        "later_asyncio_refused",
        Category.NETWORK_FLAKE,
        "import asyncio, socket\ns = socket.socket(); s.bind(('127.0.0.1', 0)); a = s.getsockname(); s.close()\nasync def main(): await asyncio.open_connection(*a)\nasyncio.run(main())",
    ),
    Broken(
        "later_torch_port",
        Category.RENDEZVOUS_FAILURE,
        said(
            "torch.distributed",
            "DistNetworkError",
            "The server socket has failed to listen on any local network address. port: 29500, useIpv6: true, code: -98, name: EADDRINUSE, message: address already in use",
        ),
    ),
    Broken(
        "later_asyncio_port",
        Category.RENDEZVOUS_FAILURE,
        "import asyncio, socket\ns = socket.create_server(('127.0.0.1', 0))\nasync def main(): await asyncio.start_server(print, *s.getsockname())\nasyncio.run(main())",
    ),
    Broken(
        "later_resolution",
        Category.RENDEZVOUS_FAILURE,
        "import socket\nraise socket.gaierror(-3, 'Temporary failure in name resolution')",
    ),
)
EXCEPTIONS = (
    Broken(
        "later_process",
        Category.USER_EXCEPTION,
        "import multiprocessing as m\ndef work(): raise ValueError('bad')\nif __name__ == '__main__':\n    p = m.Process(target=work); p.start(); p.join(); sys.exit(p.exitcode)",
    ),
    Broken(
        "later_pool",
        Category.BAD_SAMPLE,
        "import multiprocessing as m\ndef work(x): return b'\\xff'.decode()\nif __name__ == '__main__':\n    with m.Pool(1) as p: p.map(work, [1])",
    ),
    Broken(
        "later_child_raises",
        Category.MISSING_FILE,
        "import subprocess\nsubprocess.run([sys.executable, '-I', '-S', '-c', 'def f(): open(\"/nowhere\")\\nf()'], check=True)",
    ),
    Broken(
        "later_mat",
        Category.USER_EXCEPTION,
        "raise RuntimeError('mat1 and mat2 shapes cannot be multiplied (32x512 and 768x10)')",
    ),
    Broken(
        "later_device",
        Category.USER_EXCEPTION,
        "raise RuntimeError('Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!')",
    ),
    Broken(
        "later_asyncio",
        Category.USER_EXCEPTION,
        "import asyncio\nasync def main():\n    async with asyncio.TaskGroup() as g: g.create_task(work())\nasync def work(): raise ValueError('bad')\nasyncio.run(main())",
    ),
    Broken(
        "later_rich",
        Category.USER_EXCEPTION,
        "from rich.traceback import install\ninstall(show_locals=True)\ndef step(n): raise ValueError('bad batch')\nstep(3)",
        imports=True,
    ),
    Broken(
        "later_rich_import",
        Category.IMPORT_ERROR,
        "from rich.traceback import install\ninstall()\nimport nothing_there",
        imports=True,
    ),
    Broken(
        "later_rust",
        Category.USER_EXCEPTION,
        "print(\"thread 'main' panicked at src/main.rs:3:5:\\nindex out of bounds: the len is 3 but the index is 5\\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\"); sys.exit(101)",
    ),
    Broken(
        "later_go",
        Category.USER_EXCEPTION,
        "print('panic: runtime error: index out of range [5] with length 3\\n\\ngoroutine 1 [running]:\\nmain.main()\\n\\t/x/main.go:7 +0x1d\\nexit status 2'); sys.exit(2)",
    ),
    Broken(
        "later_logged",
        Category.USER_EXCEPTION,
        "import logging\nlogging.basicConfig(format='%(asctime)s %(levelname)s %(message)s')\ntry: int('x')\nexcept ValueError: logging.exception('training failed'); sys.exit(1)",
    ),
    Broken(
        "later_backward",
        Category.NAN_LOSS,
        "raise RuntimeError(\"Function 'MulBackward0' returned nan values in its 0th output.\")",
    ),
    Broken(
        "later_scale",
        Category.NAN_LOSS,
        "raise FloatingPointError('Minimum loss scale reached (0.0001). Your loss is probably exploding.')",
    ),
    Broken(
        "later_normal",
        Category.NAN_LOSS,
        "raise ValueError('Expected parameter loc (Tensor of shape (1, 2)) of distribution Normal to satisfy the constraint Real(), but found invalid values: tensor([[nan, nan]])')",
    ),
    Broken("later_assert_nan", Category.NAN_LOSS, "loss = float('nan')\nassert loss == loss, f'loss is {loss}'"),
    Broken(
        "later_spawned_kill",
        Category.SIGKILL_UNCONFIRMED,
        said("torch.multiprocessing.spawn", "ProcessExitedException", "process 1 terminated with signal SIGKILL"),
    ),
    Broken(
        "later_spawned_raise",
        Category.USER_EXCEPTION,
        said(
            "torch.multiprocessing.spawn",
            "ProcessRaisedException",
            "\n\n-- Process 1 terminated with the following error:\nTraceback (most recent call last):\n  File \"/app/train.py\", line 3, in work\n    raise ValueError('bad')\nValueError: bad\n",
        ),
    ),
    Broken(
        "later_quiet",
        Category.UNKNOWN,
        "import logging\nlogging.error('the evaluation was not good enough'); sys.exit(4)",
    ),
)
SECOND = (
    Broken(
        "second_dict_copy",
        Category.HOST_OOM_SOFT,
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (400_000_000,)*2)\nd = {}\nfor n in range(10**8): d[n] = str(n)",
    ),
    Broken(
        "second_awk", Category.DISK_FULL, argv=sh("awk 'BEGIN { for (i = 0; i < 99999; i++) print i }' > /dev/full")
    ),
    Broken("second_gzip", Category.DISK_FULL, argv=sh("gzip -c /bin/bash > /dev/full")),
    Broken(
        "second_shutil",
        Category.DISK_FULL,
        "import shutil\nopen('x','wb').write(bytes(99999))\nwith open('x','rb') as a, open('/dev/full','wb') as b: shutil.copyfileobj(a, b)",
    ),
    Broken(
        "second_logging",
        Category.DISK_FULL,
        "import tarfile\nopen('x','wb').write(bytes(9))\nwith tarfile.open('/dev/full', 'w') as t: t.add('x')",
    ),
    Broken("second_raise_signal", Category.NATIVE_CRASH, "signal.raise_signal(signal.SIGSEGV)"),
    Broken(
        "second_glibc",
        Category.NATIVE_CRASH,
        "import ctypes\nl = ctypes.CDLL(None); l.malloc.restype = ctypes.c_void_p; p = l.malloc(10); l.free(ctypes.c_void_p(p)); l.free(ctypes.c_void_p(p))",
    ),
    Broken(
        "second_mp_killed",
        Category.SIGKILL_UNCONFIRMED,
        "import subprocess\np = subprocess.Popen(['sleep', '9']); p.kill(); p.wait(); raise RuntimeError(f'worker died with signal {signal.Signals(-p.returncode).name}')",
    ),
    Broken(
        "second_pip",
        Category.IMPORT_ERROR,
        argv=("python3", "-I", "-c", "import importlib; importlib.import_module('vllm_not_here')"),
    ),
    Broken("second_pkgres", Category.IMPORT_ERROR, "import importlib.resources as r\nr.files('package_not_here')"),
    Broken(
        "second_so",
        Category.IMPORT_ERROR,
        "import ctypes\nopen('libx.so', 'w').write('junk')\nctypes.CDLL('./libx.so')",
    ),
    Broken("second_exec", Category.COMMAND_NOT_FOUND, argv=sh("exec torchrun-nope --nproc 8")),
    Broken(
        "second_env_sh", Category.COMMAND_NOT_FOUND, argv=sh("printf '#!/usr/bin/env python9\\n' > x; chmod +x x; ./x")
    ),
    Broken("second_popen", Category.COMMAND_NOT_FOUND, "import subprocess\nsubprocess.run(['nvidia-smi-nope'])"),
    Broken(
        "second_parser_error",
        Category.BAD_ARGUMENTS,
        "import argparse\np = argparse.ArgumentParser(); p.add_argument('--lr', type=float)\na = p.parse_args([])\nif a.lr is None: p.error('--lr is needed for training')",
    ),
    Broken("second_yaml", Category.BAD_ARGUMENTS, "import yaml\nyaml.safe_load('a: [1, 2\\nb: 3')", imports=True),
    Broken("second_environ", Category.BAD_ARGUMENTS, "def setup():\n    return int(os.environ['WORLD_SIZE'])\nsetup()"),
    Broken("second_jsonconfig", Category.BAD_ARGUMENTS, "config = json.loads('{\"a\": 1,}')"),
    Broken("second_find", Category.MISSING_FILE, argv=("find", "/nowhere", "-name", "x")),
    Broken("second_wc", Category.MISSING_FILE, argv=("wc", "-l", "train.csv")),
    Broken("second_source", Category.MISSING_FILE, argv=sh("set -e; source ./env.sh; echo no")),
    Broken("second_np", Category.MISSING_FILE, "import numpy\nnumpy.loadtxt('nowhere.txt')", imports=True),
    Broken("second_rename", Category.MISSING_FILE, "os.rename('a.tmp', 'a')"),
    Broken(
        "second_assert",
        Category.MISSING_FILE,
        "import pathlib\np = pathlib.Path('/data/imagenet')\nassert p.exists(), f'{p} does not exist'",
    ),
    Broken("second_chown", Category.PERMISSION, "as_nobody(); os.chown('/etc/passwd', 0, 0)"),
    Broken("second_mkdir", Category.PERMISSION, "as_nobody(); os.makedirs('/usr/share/hw/x')"),
    Broken(
        "second_gcs",
        Category.PERMISSION,
        said(
            "google.api_core.exceptions",
            "Forbidden",
            "403 GET https://storage: sa@x does not have storage.objects.get access",
        ),
    ),
    Broken(
        "second_token",
        Category.PERMISSION,
        said(
            "wandb.errors",
            "AuthenticationError",
            "api_key not configured (no-tty). call wandb.login(key=[your_api_key])",
        ),
    ),
    Broken("second_bz2", Category.BAD_SAMPLE, "import bz2\nbz2.decompress(b'nonsense')"),
    Broken("second_jsonl", Category.BAD_SAMPLE, "for line in ['{\"a\": 1}', '{\"a\": ']: json.loads(line)"),
    Broken("second_int", Category.USER_EXCEPTION, "[int(x) for x in 'a,b'.split(',')]"),
    Broken(
        "second_eof",
        Category.BAD_SAMPLE,
        "import pickle\nopen('shard-3.pkl','wb').write(pickle.dumps([1]*999)[:50])\npickle.load(open('shard-3.pkl','rb'))",
    ),
    Broken(
        "second_ckpt_json",
        Category.CHECKPOINT_CORRUPT,
        "open('ckpt.json','w').write('{')\ndef resume(): return json.load(open('ckpt.json'))\nresume()",
    ),
    Broken(
        "second_safet",
        Category.CHECKPOINT_CORRUPT,
        said(
            "safetensors", "SafetensorError", "Error while deserializing: incomplete metadata, file not fully covered"
        ),
    ),
    Broken(
        "second_unexpected",
        Category.CHECKPOINT_MISMATCH,
        'raise RuntimeError(\'Error(s) in loading state_dict for GPT:\\n\\tUnexpected key(s) in state_dict: "a", "b".\')',
    ),
    Broken("second_httpx", Category.NETWORK_FLAKE, said("httpx", "ConnectTimeout", "timed out")),
    Broken(
        "second_grpc",
        Category.NETWORK_FLAKE,
        said(
            "grpc",
            "RpcError",
            "StatusCode.UNAVAILABLE: failed to connect to all addresses; last error: Connection refused",
        ),
    ),
    Broken(
        "second_httperr",
        Category.NETWORK_FLAKE,
        said("requests.exceptions", "HTTPError", "503 Server Error: Service Unavailable for url: https://hub/x"),
    ),
    Broken("second_devtcp", Category.NETWORK_FLAKE, argv=sh("exec 3<>/dev/tcp/127.0.0.1/1")),
    Broken("second_unreach", Category.NETWORK_FLAKE, "import socket\nraise OSError(113, 'No route to host')"),
    Broken(
        "second_udp",
        Category.RENDEZVOUS_FAILURE,
        "import socket\na = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(('127.0.0.1', 0))\nb = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); b.bind(a.getsockname())",
    ),
    Broken(
        "second_hinf",
        Category.NAN_LOSS,
        "import math\nfor n in range(9): report(type='metrics', step=n, values={'train/loss': math.inf if n > 3 else 1.0})\nraise SystemExit('bad loss')",
    ),
    Broken("second_lossname", Category.NAN_LOSS, "raise ValueError('NaN or Inf found in input tensor.')"),
    Broken("second_sqrt", Category.USER_EXCEPTION, "import math\nmath.sqrt(-1)"),
    Broken("second_stop", Category.USER_EXCEPTION, "next(iter([]))"),
    Broken(
        "second_notimpl",
        Category.USER_EXCEPTION,
        "class A:\n    def forward(self): raise NotImplementedError\nA().forward()",
    ),
    Broken(
        "second_threads_exc",
        Category.USER_EXCEPTION,
        "import threading\nboom = []\ndef work():\n    try: {}['x']\n    except KeyError as e: boom.append(e); raise\nt = threading.Thread(target=work); t.start(); t.join()\nsys.exit(1)",
    ),
    Broken("second_exit5", Category.UNKNOWN, argv=sh("exit 5")),
    Broken("second_false", Category.UNKNOWN, argv=("false",)),
    Broken("second_bash_syntax", Category.USER_EXCEPTION, argv=sh("if then")),
    Broken("second_unset", Category.BAD_ARGUMENTS, argv=sh("set -u; echo $DATASET_DIR_NOT_SET")),
    Broken("second_set_e", Category.UNKNOWN, argv=sh("set -e; grep nothing /etc/hostname; echo")),
)
THIRD = (
    Broken(
        "third_hf_oom",
        Category.GPU_OOM,
        "print('{\\'loss\\': 2.31, \\'epoch\\': 0.1}'); print('  3%|▎ | 12/400 [00:10<05:31,  1.17it/s]', file=sys.stderr)\n"
        + said(
            "torch.cuda",
            "OutOfMemoryError",
            "CUDA out of memory. Tried to allocate 1.16 GiB (GPU 0; 79.15 GiB total capacity; 77.1 GiB already allocated; 612.00 MiB free)",
        ),
    ),
    Broken(
        "third_tf_oom",
        Category.GPU_OOM,
        said(
            "tensorflow.python.framework.errors_impl",
            "ResourceExhaustedError",
            "Graph execution error: OOM when allocating tensor with shape[64,512,512] and type float on /job:localhost",
        ),
    ),
    Broken(
        "third_vllm",
        Category.GPU_OOM,
        "raise ValueError('No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.')",
    ),
    Broken(
        "third_malloc",
        Category.HOST_OOM_SOFT,
        "raise RuntimeError('[enforce fail at alloc_cpu.cpp:114] . DefaultCPUAllocator: can\\'t allocate memory: you tried to allocate 107374182400 bytes. Error code 12 (Cannot allocate memory)')",
    ),
    Broken(
        "third_ld",
        Category.IMPORT_ERROR,
        argv=sh("LD_PRELOAD= python3 -I -c 'import ctypes; ctypes.CDLL(\"libopenblas.so.0\")'"),
    ),
    Broken("third_pth", Category.MISSING_FILE, "import pickle\nwith open('best_model.pth', 'rb') as f: pickle.load(f)"),
    Broken(
        "third_hfdir",
        Category.MISSING_FILE,
        "raise OSError('Incorrect path_or_model_id: \\'./out\\'. Please provide either the path to a local folder or the repo_id of a model on the Hub.')",
    ),
    Broken(
        "third_empty_glob",
        Category.MISSING_FILE,
        "import glob\nfiles = glob.glob('/data/*.parquet')\nif not files: raise FileNotFoundError('no files match /data/*.parquet')",
    ),
    Broken(
        "third_sudo",
        Category.PERMISSION,
        "import warnings; as_nobody()\nos.execlp('sh', 'sh', '-c', 'echo x > /etc/hw.conf')",
    ),
    Broken(
        "third_wandb",
        Category.PERMISSION,
        said(
            "wandb.errors",
            "CommError",
            "It appears that you do not have permission to access the requested resource. (Error 403: Forbidden)",
        ),
    ),
    Broken("third_dns_curl", Category.NETWORK_FLAKE, argv=sh("curl -sS http://127.0.0.1:1/x")),
    Broken(
        "third_nccl_init",
        Category.COLLECTIVE_TIMEOUT,
        said(
            "torch.distributed",
            "DistBackendError",
            "NCCL error in: ../torch/csrc/distributed/c10d/NCCLUtils.hpp:219, remote process exited or there was a network error, NCCL version 2.14.3",
        ),
    ),
    Broken(
        "third_socket_nccl",
        Category.COLLECTIVE_TIMEOUT,
        "print('node1:123:456 [0] NCCL INFO Bootstrap : Using eth0')\nraise RuntimeError('NCCL communicator was aborted on rank 1.')",
    ),
    Broken(
        "third_spawn",
        Category.USER_EXCEPTION,
        "import multiprocessing as m\ndef work(q):\n    try: {}['a']\n    except KeyError as e: q.put(repr(e)); raise\nif __name__ == '__main__':\n    q = m.Queue(); p = m.Process(target=work, args=(q,)); p.start(); why = q.get(); p.join(); raise RuntimeError(f'worker failed: {why}')",
    ),
    Broken(
        "third_lightning",
        Category.NAN_LOSS,
        said(
            "lightning.pytorch.utilities.exceptions",
            "MisconfigurationException",
            "The loss returned in `training_step` is nan.",
        ),
    ),
    Broken(
        "third_amp",
        Category.NAN_LOSS,
        "raise AssertionError('No inf checks were recorded for this optimizer: loss is nan')",
    ),
    Broken(
        "third_hydra",
        Category.BAD_ARGUMENTS,
        "print(\"Could not override 'optim.lrr'.\\nTo append to your config use +optim.lrr=1\\nKey 'lrr' is not in struct\\n\\nSet the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.\"); sys.exit(1)",
    ),
    Broken(
        "third_absl",
        Category.BAD_ARGUMENTS,
        "print(\"FATAL Flags parsing error: Unknown command line flag 'lrr'. Did you mean: lr ?\\nPass --helpshort or --helpfull to see help on flags.\"); sys.exit(1)",
    ),
    Broken(
        "third_torchrun_args",
        Category.BAD_ARGUMENTS,
        "import argparse\np = argparse.ArgumentParser(prog='torchrun'); p.add_argument('training_script')\np.parse_args([])",
    ),
    Broken(
        "third_type",
        Category.BAD_ARGUMENTS,
        "import argparse\np = argparse.ArgumentParser(); p.add_argument('--lr', type=float)\np.parse_args(['--lr', 'fast'])",
    ),
    Broken("third_index", Category.USER_EXCEPTION, "import numpy\nnumpy.arange(3)[7]", imports=True),
    Broken("third_broadcast", Category.USER_EXCEPTION, "import numpy\nnumpy.ones(3) + numpy.ones(4)", imports=True),
    Broken(
        "third_sklearn", Category.USER_EXCEPTION, "import numpy\nnumpy.linalg.inv(numpy.zeros((2, 2)))", imports=True
    ),
    Broken("third_attr", Category.USER_EXCEPTION, "class A: pass\nA().forward(1)"),
    Broken(
        "third_assert_msg",
        Category.USER_EXCEPTION,
        "batch = 7\nassert batch % 8 == 0, f'the batch of {batch} is not a multiple of 8'",
    ),
    Broken(
        "third_sigkill_group",
        Category.SIGKILL_UNCONFIRMED,
        argv=sh("python3 -I -S -c 'import os; os.kill(os.getppid(), 9)'; echo; sleep 5"),
    ),
    Broken(
        "third_segv_pipe",
        Category.NATIVE_CRASH,
        argv=sh("set -o pipefail; python3 -I -S -c 'import ctypes; ctypes.string_at(0)' | cat"),
    ),
    Broken(
        "third_full_log",
        Category.DISK_FULL,
        "print('saving to /dev/full'); import shutil; shutil.copy('/etc/passwd', '/dev/full')",
    ),
    Broken("third_mmap_bus", Category.SHM_EXHAUSTED, argv=sh("kill -BUS $$")),
    Broken(
        "third_warn_then_value",
        Category.USER_EXCEPTION,
        "import warnings\nwarnings.warn('Connection refused by the tracker, CUDA out of memory soon')\nint('x')",
    ),
    Broken(
        "third_retry_then_import",
        Category.IMPORT_ERROR,
        "for n in range(2): print(f'attempt {n}: ConnectionResetError, retrying')\nimport nope_nope",
    ),
    Broken(
        "third_ok_then_exit",
        Category.UNKNOWN,
        "print('Traceback (most recent call last) is a phrase'); print('FileNotFoundError: is a class'); sys.exit(9)",
    ),
    Broken(
        "third_json_log",
        Category.UNKNOWN,
        "print(json.dumps({'level': 'info', 'msg': 'done', 'errors': 0})); sys.exit(1)",
    ),
)
ALL = MACHINE + ENVIRONMENT + DATA + NETWORK + EXCEPTIONS + SECOND + THIRD
