"""Which of the worker's own environment variables a stage's process may see."""

import os
from collections.abc import Mapping

from app.errors import SetupError
from app.settings import REFUSED_PREFIXES

NAMES = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
        *("LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH"),
        *("XDG_CACHE_HOME", "HF_HOME", "TORCH_HOME"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    }
)
PROXIES = frozenset({"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"})
LOOPBACK = "127.0.0.1"
PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "NCCL_")


def stage_env_names(setting: str) -> frozenset[str]:
    """Read ``HEADWAY_STAGE_ENV``: names of further variables, separated by commas.

    Raises:
        SetupError: one of them may hold the key to Headway's own servers.

    """
    names = frozenset(name.strip() for name in setting.split(",") if name.strip())
    refused = sorted(name for name in names if is_refused(name))
    if refused:
        raise SetupError(f"HEADWAY_STAGE_ENV: no stage may see {', '.join(refused)}.")
    return names


def is_refused(name: str) -> bool:
    """Tell whether a variable may hold the key to Headway's own servers."""
    return name.upper().startswith(REFUSED_PREFIXES)


def permitted(worker_env: Mapping[str, str], more_names: frozenset[str]) -> dict[str, str]:
    """Return the part of the worker's environment that a stage may see.

    A stage starts in a directory of its own, so an import path that is relative to the worker's is made absolute.
    """
    seen = {
        name: value
        for name, value in worker_env.items()
        if (name in NAMES or name in more_names or name.startswith(PREFIXES)) and not is_refused(name)
    }
    if path := seen.get("PYTHONPATH"):
        seen["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, path.split(os.pathsep)))
    if seen.keys() & PROXIES:  # which must not stand between a stage and its worker
        seen["no_proxy"] = ",".join(filter(None, [seen.get("no_proxy") or seen.get("NO_PROXY"), LOOPBACK]))
    return seen
