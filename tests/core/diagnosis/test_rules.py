"""Every rule by an example: what it is for, and that no earlier rule takes it away."""

import pytest

from app.core.diagnosis import rules
from app.core.diagnosis.categories import MEANINGS
from app.core.diagnosis.reading import known
from app.core.diagnosis.rule import Reach
from schemas.diagnosis import Category, Outlook

NEAR_CHECKPOINT = "state = load(checkpoint)"
EXAMPLES = {
    Category.GPU_OOM: [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "torch.cuda.OutOfMemoryError: Allocation on device",
        "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "ResourceExhaustedError: OOM when allocating tensor with shape[64,512]",
        "XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory allocating 17 bytes",
    ],
    Category.GPU_HARDWARE: [
        "NVRM: Xid (PCI:0000:3b:00): 48, pid=4711, Double Bit ECC Error",
        "RuntimeError: CUDA error: uncorrectable ECC error encountered",
        "NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus.",
        "NVLink: fatal error detected on link 2",
    ],
    Category.GPU_UNAVAILABLE: [
        "RuntimeError: No CUDA GPUs are available",
        "RuntimeError: The NVIDIA driver version is insufficient for CUDA runtime version",
        "RuntimeError: Found no NVIDIA driver on your system.",
        "OSError: libcuda.so.1: cannot open shared object file: No such file or directory",
    ],
    Category.CUDA_RUNTIME: [
        "RuntimeError: CUDA error: device-side assert triggered",
        "RuntimeError: CUDA error: an illegal memory access was encountered",
        "NVRM: Xid (PCI:0000:3b:00): 31, pid=4711",
        "RuntimeError: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    ],
    Category.HOST_OOM_KILL: ["Memory cgroup out of memory: Killed process 4711 (python)"],
    Category.WALL_TIMEOUT: ["slurmstepd: error: *** JOB 17 CANCELLED DUE TO TIME LIMIT ***"],
    Category.PREEMPTED: ["slurmstepd: error: *** JOB 17 CANCELLED DUE TO PREEMPTION ***"],
    Category.NODE_LOST: ["srun: error: Node failure, state NODE_FAIL"],
    Category.CANNOT_START: ["RuntimeError: can't start new thread"],
    Category.SHM_EXHAUSTED: [
        "RuntimeError: DataLoader worker (pid 17) is killed by signal: Bus error.",
        "run.sh: line 3: 4711 Bus error               python train.py",
    ],
    Category.DISK_FULL: [
        "OSError: [Errno 28] No space left on device: '/data/x'",
        "OSError: [Errno 122] Disk quota exceeded",
        "OSError: [Errno 27] File too large",
    ],
    Category.HOST_OOM_SOFT: [
        "MemoryError",
        "java.lang.OutOfMemoryError: Java heap space",
        "memory allocation of 4096 bytes failed",
        "sort: out of memory",
    ],
    Category.RENDEZVOUS_FAILURE: [
        "RendezvousTimeoutError",
        "OSError: [Errno 98] Address already in use",
        "socket.gaierror: [Errno -2] Name or service not known",
        "torch.distributed.DistStoreError: Timed out after 61 seconds waiting for clients.",
    ],
    Category.COLLECTIVE_TIMEOUT: [
        "RuntimeError: [Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=17)",
        "torch.distributed.DistBackendError: NCCL error in: x.cpp:1970, unhandled system error",
        "RuntimeError: [gloo/pair.cc:534] Connection closed by peer [10.0.0.7]:49722",
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: train.py FAILED",
    ],
    Category.SIGKILL_UNCONFIRMED: ["process 1 terminated with signal SIGKILL"],
    Category.NATIVE_CRASH: [
        "process 1 terminated with signal SIGSEGV",
        "BrokenProcessPool: A process in the process pool was terminated abruptly",
        "Fatal Python error: Segmentation fault",
    ],
    Category.USER_EXCEPTION: [
        "subprocess.CalledProcessError: Command 'x' returned non-zero exit status 1.",
        "SyntaxError: invalid syntax",
        "NameError: name 'x' is not defined",
        "panic: runtime error: index out of range",
    ],
    Category.IMPORT_ERROR: [
        "ModuleNotFoundError: No module named 'flash_attn'",
        "ImportError: /x/_C.so: undefined symbol: _ZN3c10",
        "ImportError: cannot import name 'x' from 'y'",
        "AttributeError: module 'numpy' has no attribute 'float'",
        "pkg_resources.VersionConflict: numpy 1.0",
        "/usr/bin/python3: No module named trainer",
    ],
    Category.COMMAND_NOT_FOUND: [
        "sh: 1: torchrun: not found",
        "bash: ./x: cannot execute binary file: Exec format error",
        ("FileNotFoundError: [Errno 2] No such file or directory: 'nvidia-smi'", "subprocess.run(['nvidia-smi'])"),
    ],
    Category.CHECKPOINT_MISMATCH: [
        "RuntimeError: Error(s) in loading state_dict for Net:",
        "ValueError: checkpoint mismatch: it was written by 8 ranks",
        "ValueError: loaded state dict has a different number of parameter groups",
    ],
    Category.CHECKPOINT_CORRUPT: [
        ("EOFError: Ran out of input", NEAR_CHECKPOINT),
        ("OSError: Unable to open file (bad superblock)", NEAR_CHECKPOINT),
        "RuntimeError: PytorchStreamReader failed reading zip archive",
        "ValueError: checkpoint step-3 is torn",
        "ValueError: file is truncated: model.safetensors",
        "RuntimeError: unexpected EOF, expected 17 more bytes. The file might be corrupted.",
    ],
    Category.BAD_SAMPLE: [
        "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff",
        "struct.error: unpack requires a buffer of 8 bytes",
        "json.decoder.JSONDecodeError: Expecting value",
    ],
    Category.NETWORK_FLAKE: [
        "OSError: [Errno 116] Stale file handle",
        "ConnectionResetError: [Errno 104] Connection reset by peer",
        "urllib.error.HTTPError: HTTP Error 503: Service Unavailable",
        "curl: (7) Failed to connect to hub port 443",
    ],
    Category.PERMISSION: [
        "ClientError: An error occurred (AccessDenied) when calling the PutObject operation",
        "wandb.errors.AuthenticationError: no key",
        "PermissionError: [Errno 13] Permission denied: '/data/x'",
        "cat: /data/x: Permission denied",
    ],
    Category.MISSING_FILE: [
        "FileNotFoundError: [Errno 2] No such file or directory: '/data/x'",
        "AssertionError: /data/imagenet does not exist",
        "NoSuchKey: The specified key is not there",
        "cat: train.csv: No such file or directory",
        "python3: can't open file '/app/train.py': [Errno 2] No such file or directory",
    ],
    Category.NAN_LOSS: ["FloatingPointError: overflow", "ValueError: the gradient norm is not finite"],
    Category.DIVERGENCE: ["RuntimeError: training diverged at step 17"],
    Category.BAD_ARGUMENTS: [
        ("json.decoder.JSONDecodeError: Expecting value", "config = json.load(file)"),
        "train.py: error: unrecognized arguments: --lr 1",
        "tar: unrecognized option '--x'",
        "bash: line 1: DATASET: unbound variable",
        "configparser.NoOptionError: No option 'rate' in section: 'train'",
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings",
    ],
}
CASES = [
    (category, *(example if isinstance(example, tuple) else (example, "")))
    for category, examples in EXAMPLES.items()
    for example in examples
]


@pytest.mark.parametrize(("category", "text", "near"), CASES, ids=[text[:60] for _, text, _ in CASES])
def test_an_example_has_its_category(category, text, near):
    rule, _ = known(text, rules.ALL, near)
    assert rule.category is category


def test_no_rule_is_without_an_example():
    asked = {id(known(text, rules.ALL, near)[0]) for _, text, near in CASES}
    assert [rule.pattern.pattern for rule in rules.ALL if id(rule) not in asked] == []


def test_triggers_are_in_small_letters_and_let_no_match_of_their_rule_pass():
    assert [word for rule in rules.ALL for word in rule.triggers if word != word.lower()] == []
    for rule in rules.ALL:
        for _, text, near in CASES:
            if rule.pattern.search(text) and (rule.near is None or rule.near.search(near)):
                assert any(word in text.lower() for word in rule.triggers), (rule.pattern.pattern, text)


def test_every_category_is_explained_once_and_in_the_order_of_its_words():
    assert list(MEANINGS) == list(Category)
    for category, meaning in MEANINGS.items():
        assert meaning.remedy.endswith("."), category
        assert ". " not in meaning.remedy, f"{category}: a remedy is one sentence"


def test_never_is_only_said_where_the_evidence_proves_it():
    said = {category for category, meaning in MEANINGS.items() if meaning.outlook is Outlook.NEVER}
    said |= {rule.category for rule in rules.ALL if rule.outlook is Outlook.NEVER}
    assert said == {
        Category.CHECKPOINT_MISMATCH,
        Category.IMPORT_ERROR,
        Category.COMMAND_NOT_FOUND,
        Category.BAD_ARGUMENTS,
        Category.USER_EXCEPTION,
    }


def test_what_is_bad_news_anywhere_is_never_a_word_that_is_said_in_passing():
    harmless = (
        "Killed",
        "epoch 3: loss nan is a word, killed by early stopping",
        "Loaded checkpoint step-3, resuming",
        "retrying after a timeout; 3 errors so far",
        "Error: 0, Warnings: 17",
    )
    for rule in rules.ALL:
        if rule.reach is Reach.ANYWHERE:
            assert [text for text in harmless if rule.pattern.search(text)] == [], rule.pattern.pattern
