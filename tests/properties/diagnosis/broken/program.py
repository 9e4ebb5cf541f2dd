"""The program itself: how it is called, what it imports, what it raises; and what it says of GPUs that are not here."""

from schemas.diagnosis import Category
from tests.properties.diagnosis.attempts import Broken

IMPORTS = (
    Broken("no_module", Category.IMPORT_ERROR, "import flash_attn_that_is_not_here"),
    Broken("no_name", Category.IMPORT_ERROR, "from json import nothing_of_that_name"),
    Broken("no_attribute", Category.IMPORT_ERROR, "import json\njson.nothing_of_that_name()"),
    Broken("no_module_by_m", Category.IMPORT_ERROR, argv=("python3", "-I", "-m", "trainer_that_is_not_here")),
    Broken("no_symbol", Category.IMPORT_ERROR, "import ctypes\nctypes.CDLL(None).nothing_of_that_name"),
    Broken("no_library", Category.IMPORT_ERROR, "import ctypes\nctypes.CDLL('libmissing.so.3')"),
    Broken("no_submodule", Category.IMPORT_ERROR, "def main():\n    import json.nothing\nmain()"),
    Broken(
        "no_package",
        Category.IMPORT_ERROR,
        "import importlib.metadata\nimportlib.metadata.version('nothing-of-that-name')",
    ),
    Broken(
        "plug_in",
        Category.IMPORT_ERROR,
        "try: import nothing_of_that_name\nexcept ImportError as e: raise RuntimeError('install it first') from e",
    ),
)
COMMANDS = (
    Broken("no_command", Category.COMMAND_NOT_FOUND, argv=("train-that-is-not-here",)),
    Broken("no_command_in_a_shell", Category.COMMAND_NOT_FOUND, argv=("sh", "-c", "train-that-is-not-here --epochs 3")),
    Broken("no_command_in_bash", Category.COMMAND_NOT_FOUND, argv=("bash", "-c", "train-that-is-not-here")),
    Broken("no_path_in_bash", Category.COMMAND_NOT_FOUND, argv=("bash", "-c", "./train.sh")),
    Broken("not_executable", Category.COMMAND_NOT_FOUND, argv=("/etc/passwd",)),
    Broken(
        "not_executable_in_bash", Category.COMMAND_NOT_FOUND, argv=("bash", "-c", "cp /etc/passwd x; chmod 644 x; ./x")
    ),
    Broken(
        "other_machine",
        Category.COMMAND_NOT_FOUND,
        "open('x', 'wb').write(b'\\x7fELF' + bytes(60)); os.chmod('x', 0o755)\nos.execl('./x', 'x')",
    ),
    Broken(
        "other_machine_in_bash",
        Category.COMMAND_NOT_FOUND,
        argv=("bash", "-c", r"printf '\177ELF%60s' '' > x; chmod 755 x; ./x"),
    ),
    Broken(
        "no_interpreter",
        Category.COMMAND_NOT_FOUND,
        argv=("bash", "-c", "printf '#!/nowhere/python\\n' > x; chmod 755 x; ./x"),
    ),
)
PARSER = "import argparse\np = argparse.ArgumentParser(prog='train.py')\np.add_argument('--epochs', type=int, required=True)\np.add_argument('--opt', choices=['adam', 'sgd'])\np.parse_args(%r)"
ARGUMENTS = (
    Broken("unknown_argument", Category.BAD_ARGUMENTS, PARSER % (["--epochs", "3", "--lr", "1"],)),
    Broken("missing_argument", Category.BAD_ARGUMENTS, PARSER % ([],)),
    Broken("invalid_choice", Category.BAD_ARGUMENTS, PARSER % (["--epochs", "3", "--opt", "x"],)),
    Broken("no_integer", Category.BAD_ARGUMENTS, PARSER % (["--epochs", "many"],)),
    Broken("config_key", Category.BAD_ARGUMENTS, "config = {'epochs': 3}\nrate = config['learning_rate']"),
    Broken("environment_key", Category.BAD_ARGUMENTS, "data = os.environ['DATASET_ROOT']"),
    Broken(
        "params_key",
        Category.BAD_ARGUMENTS,
        "def main(params):\n    return params['model']['depth']\nmain({'model': {}})",
    ),
    Broken(
        "config_validation",
        Category.BAD_ARGUMENTS,
        "import msgspec\nclass Config(msgspec.Struct):\n    epochs: int\nmsgspec.convert({'epochs': 'x'}, Config)",
        imports=True,
    ),
    Broken(
        "hydra",
        Category.BAD_ARGUMENTS,
        "class ConfigCompositionException(Exception): pass\nraise ConfigCompositionException(\"Could not override 'model.dept'.\")",
    ),
    Broken("ls_option", Category.BAD_ARGUMENTS, argv=("grep", "--no-such-option", "x")),
)
EXCEPTIONS = (
    Broken("value", Category.USER_EXCEPTION, "def step(n):\n    raise ValueError(f'bad batch {n}')\nstep(3)"),
    Broken("assertion", Category.USER_EXCEPTION, "assert 1 == 2, 'labels and images differ'"),
    Broken("types", Category.USER_EXCEPTION, "len(3)"),
    Broken("name", Category.USER_EXCEPTION, "print(undefined_name)"),
    Broken("call", Category.USER_EXCEPTION, "def fit(x): pass\nfit(1, epochs=3)"),
    Broken("zero", Category.USER_EXCEPTION, "1 / 0"),
    Broken("recursion", Category.USER_EXCEPTION, "def f(): f()\nf()"),
    Broken("shapes", Category.USER_EXCEPTION, "import numpy\nnumpy.ones((3, 4)) @ numpy.ones((5, 6))", imports=True),
    Broken("syntax", Category.USER_EXCEPTION, "exec(compile('def broken(:', 'model.py', 'exec'))"),
    Broken("own_class", Category.USER_EXCEPTION, "class Exploded(Exception): pass\nraise Exploded('tokens')"),
    Broken("data_key", Category.USER_EXCEPTION, "batch = {'image': 1}\nprint(batch['label'])"),
    Broken(
        "said",
        Category.USER_EXCEPTION,
        "report(type='error', message='ValueError: no classes', traceback='')\nsys.exit(1)",
    ),
    Broken(
        "error_file",
        Category.USER_EXCEPTION,
        "json.dump({'message': {'message': 'ValueError: bad', 'extraInfo': {'py_callstack': '', 'timestamp': '1'}}}, open(os.environ['TORCHELASTIC_ERROR_FILE'], 'w'))\nsys.exit(1)",
    ),
    Broken(
        "in_a_thread",
        Category.USER_EXCEPTION,
        "import concurrent.futures as f\nwith f.ThreadPoolExecutor() as pool: pool.submit(int, 'x').result()",
    ),
    Broken("group", Category.USER_EXCEPTION, "raise ExceptionGroup('several', [ValueError('a'), ValueError('b')])"),
)
LOSSES = "for n in range(9): report(type='metrics', step=n, values={'loss': float('nan') if n > 5 else 1.0})\n"
NUMBERS = (
    Broken("nan_then_assert", Category.NAN_LOSS, LOSSES + "assert False, 'stop'"),
    Broken("nan_then_exit", Category.NAN_LOSS, LOSSES + "sys.exit(1)"),
    Broken("inf_then_exit", Category.NAN_LOSS, LOSSES.replace("nan", "inf") + "sys.exit(1)"),
    Broken(
        "nan_raised",
        Category.NAN_LOSS,
        "w, losses = 1.0, []\nfor n in range(2000):\n    w = w - 3 * w * w * w\n    if w != w or abs(w) > 1e100: raise FloatingPointError(f'loss is {w - w} at step {n}')",
    ),
    Broken(
        "nan_found",
        Category.NAN_LOSS,
        "import math\nloss = math.inf - math.inf\nif math.isnan(loss): raise RuntimeError(f'Loss is {loss}, stopping training')",
    ),
    Broken(
        "nan_numpy",
        Category.NAN_LOSS,
        "import numpy\nnumpy.seterr(all='raise')\nnumpy.float32(3e38) * numpy.float32(10)",
        imports=True,
    ),
    Broken("not_finite", Category.NAN_LOSS, "raise ValueError('the gradient norm is not finite')"),
    Broken(
        "diverged",
        Category.DIVERGENCE,
        "loss = 1.0\nfor n in range(99): loss *= 3\nif loss > 1e9: raise RuntimeError(f'training diverged: loss {loss:.3g}')",
    ),
    Broken("no_improvement", Category.DIVERGENCE, "raise RuntimeError('no improvement for 10 epochs')"),
    Broken("exploded", Category.DIVERGENCE, "raise RuntimeError('loss has diverged at step 10')"),
)
GPU_OOM = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.69 GiB of which 1.12 GiB is free. If reserved but unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation."
CUDA = "\\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.\\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1\\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions."
DEVICES = (
    Broken(
        "gpu_memory",
        Category.GPU_OOM,
        f"class OutOfMemoryError(RuntimeError): pass\nOutOfMemoryError.__module__ = 'torch'\nraise OutOfMemoryError('{GPU_OOM}')",
    ),
    Broken("gpu_memory_old", Category.GPU_OOM, "raise RuntimeError('CUDA out of memory. Tried to allocate 20.00 MiB')"),
    Broken(
        "gpu_memory_blas",
        Category.GPU_OOM,
        "raise RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`')",
    ),
    Broken(
        "gpu_memory_jax",
        Category.GPU_OOM,
        "class XlaRuntimeError(RuntimeError): pass\nraise XlaRuntimeError('RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1073741824 bytes.')",
    ),
    Broken(
        "xid",
        Category.GPU_HARDWARE,
        "print('NVRM: Xid (PCI:0000:3b:00): 79, pid=4711, GPU has fallen off the bus.')\nraise RuntimeError('CUDA error: unspecified launch failure')",
    ),
    Broken("ecc", Category.GPU_HARDWARE, "raise RuntimeError('CUDA error: uncorrectable ECC error encountered')"),
    Broken(
        "nvlink",
        Category.GPU_HARDWARE,
        "print('[12.3] NVRM: Xid (PCI:0000:3b:00): 74, NVLink: fatal error detected on link 2', flush=True)\nfrom_outside(6)",
    ),
    Broken("assert", Category.CUDA_RUNTIME, f"raise RuntimeError('CUDA error: device-side assert triggered{CUDA}')"),
    Broken(
        "illegal_access",
        Category.CUDA_RUNTIME,
        f"raise RuntimeError('CUDA error: an illegal memory access was encountered{CUDA}')",
    ),
    Broken(
        "launch_failure",
        Category.CUDA_RUNTIME,
        f"class AcceleratorError(RuntimeError): pass\nAcceleratorError.__module__ = 'torch'\nraise AcceleratorError('CUDA error: unspecified launch failure{CUDA}')",
    ),
    Broken("no_gpu", Category.GPU_UNAVAILABLE, "raise RuntimeError('No CUDA GPUs are available')"),
    Broken("no_driver", Category.GPU_UNAVAILABLE, "import ctypes\nctypes.CDLL('libcuda.so.1')"),
    Broken(
        "no_cudart",
        Category.GPU_UNAVAILABLE,
        "import ctypes\ntry: ctypes.CDLL('libcudart.so.12')\nexcept OSError as e: raise ImportError(f'{e}')",
    ),
    Broken("no_cuda_build", Category.GPU_UNAVAILABLE, "raise AssertionError('Torch not compiled with CUDA enabled')"),
)
NCCL = "[Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=17, OpType=ALLREDUCE, Timeout(ms)=600000) ran for 600342 milliseconds before timing out."
GLOO = "[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.7]:49722"
COLLECTIVES = (
    Broken("watchdog", Category.COLLECTIVE_TIMEOUT, f"raise RuntimeError('{NCCL}')"),
    Broken(
        "watchdog_aborts",
        Category.COLLECTIVE_TIMEOUT,
        f"print('[rank0]:[E1124 03:14:15 ProcessGroupNCCL.cpp:616] {NCCL}', flush=True)\nprint(\"terminate called after throwing an instance of 'c10::DistBackendError'\", flush=True)\nos.abort()",
    ),
    Broken("gloo", Category.COLLECTIVE_TIMEOUT, f"raise RuntimeError('{GLOO}')"),
    Broken(
        "backend",
        Category.COLLECTIVE_TIMEOUT,
        "class DistBackendError(RuntimeError): pass\nDistBackendError.__module__ = 'torch.distributed'\nraise DistBackendError('NCCL error in: ProcessGroupNCCL.cpp:1970, unhandled system error')",
    ),
)
SILENT = (
    Broken("exit_1", Category.UNKNOWN, "print('epoch 3 done'); sys.exit(1)"),
    Broken("exit_3", Category.UNKNOWN, "sys.exit(3)"),
    Broken("exit_2", Category.UNKNOWN, "print('bye'); sys.exit(2)"),
    Broken("says_killed", Category.UNKNOWN, "print('Killed'); sys.exit(1)"),
    Broken(
        "gives_advice",
        Category.UNKNOWN,
        "print('hint: this might be caused by CUDA out of memory; consider CUDA_LAUNCH_BLOCKING=1')\nprint('WARNING: if you see No space left on device, free some')\nsys.exit(1)",
    ),
    Broken("sigusr1", Category.UNKNOWN, "from_outside(10)"),
    Broken("sys_exit_text", Category.UNKNOWN, "sys.exit('it was decided that this is enough')"),
)
ALL = IMPORTS + COMMANDS + ARGUMENTS + EXCEPTIONS + NUMBERS + DEVICES + COLLECTIVES + SILENT
