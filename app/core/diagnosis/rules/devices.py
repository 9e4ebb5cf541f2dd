"""GPUs: their memory, their health, their drivers, their kernels."""

from app.core.diagnosis.rule import Reach, rule
from schemas.diagnosis import Category, Outlook

_ANYWHERE = Reach.ANYWHERE
_FATAL_XIDS = "48|6[1-4]|74|79|9[45]|119|120|140"
_TRIED = "It asked for {size} more than there was: halve the batch and accumulate gradients over twice as many."

RULES = (
    rule(Category.GPU_HARDWARE, rf"\bXid\b[^\n]{{0,60}}?\)?: (?:{_FATAL_XIDS})\b", "xid", reach=_ANYWHERE),
    rule(Category.GPU_HARDWARE, r"uncorrectable (?:\w+ )?ECC", "uncorrectable", reach=_ANYWHERE),
    rule(Category.GPU_HARDWARE, r"fallen off the bus", reach=_ANYWHERE),
    rule(Category.GPU_HARDWARE, r"NVLink\b[^\n]{0,40}\b(?:error|down|fatal)", "nvlink", reach=_ANYWHERE),
    rule(
        Category.GPU_OOM,
        r"(?:CUDA|HIP|XPU"
        r"|MPS backend) (?:error: )?out of memory(?:[^\n]{0,40}Tried to allocate (?P<size>[\d.]+ ?[KMGT]i?B))?",
        "out of memory",
        reach=_ANYWHERE,
        remedy=_TRIED,
    ),
    rule(Category.GPU_OOM, r"^(?!java\.)(?:\w+\.)*OutOfMemoryError\b", "outofmemoryerror"),
    rule(Category.GPU_OOM, r"CU(?:BLAS|DNN|SPARSE)_STATUS_ALLOC_FAILED", "_status_alloc_failed", reach=_ANYWHERE),
    rule(Category.GPU_OOM, r"RESOURCE_EXHAUSTED[^\n]{0,80}allocat", "resource_exhausted", reach=_ANYWHERE),
    rule(
        Category.GPU_OOM,
        r"\bOOM when allocating|No available memory for the cache blocks",
        "oom when allocating",
        "memory for the cache",
    ),
    rule(
        Category.GPU_UNAVAILABLE,
        r"No CUDA GPUs are available|no CUDA-capable device|Torch not compiled with CUDA enabled",
        "cuda gpus are available",
        "cuda-capable",
        "not compiled with cuda",
    ),
    rule(
        Category.GPU_UNAVAILABLE,
        r"driver version is insufficient|Driver/library version mismatch|devices? (?:is|are) busy or unavailable",
        "driver version",
        "version mismatch",
        "busy or unavailable",
        reach=_ANYWHERE,
    ),
    rule(Category.GPU_UNAVAILABLE, r"Found no NVIDIA driver|invalid device ordinal", "nvidia driver", "device ordinal"),
    rule(
        Category.GPU_UNAVAILABLE,
        r"lib(?:cuda|cudart|cudnn|cublas|nvidia|nvrtc|nccl)[\w.-]*: cannot open shared object",
        "cannot open shared object",
    ),
    rule(Category.CUDA_RUNTIME, r"device-side assert triggered", reach=_ANYWHERE, outlook=Outlook.UNKNOWN),
    rule(
        Category.CUDA_RUNTIME,
        r"an illegal memory access was encountered|unspecified launch failure|misaligned address",
        "illegal memory access",
        "launch failure",
        "misaligned address",
        reach=_ANYWHERE,
    ),
    rule(Category.CUDA_RUNTIME, r"\bXid\b[^\n]{0,60}?\)?: (?:13|31|43)\b", "xid", reach=_ANYWHERE),
    rule(Category.CUDA_RUNTIME, r"CUDA error: |CUDNN_STATUS_(?:EXECUTION|INTERNAL)", "cuda error: ", "cudnn_status_"),
)
