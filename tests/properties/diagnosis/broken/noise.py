"""The same failures in the noise of real logs: colours, progress bars, warnings, advice, very much output, ranks' names."""

from textwrap import dedent

from tests.properties.diagnosis.attempts import Broken

NOISE = {
    "colours": "for n in range(20): print(f'\\x1b[32mINFO\\x1b[0m epoch {n} \\x1b[1mloss\\x1b[0m {1/(n+1):.3f}', flush=True)\n",
    "bars": "for n in range(200): sys.stderr.write(f'\\rTraining: {n//2:3d}%|{\"#\" * (n // 20):<10}| {n}/200 [00:01<00:02, 88.2it/s]'); sys.stderr.flush()\n",
    "advice": "print('tip: CUDA out of memory? try a smaller batch. Killed? might be the OOM killer.\\nWARNING: Connection reset by peer is retried', flush=True)\n",
    "floods": "for n in range(6000): print(f'2026-11-24 03:14:15,926 INFO trainer: batch {n} loss={1/(n+1):.5f} lr=0.0003 gpu_mem=3.1GiB tokens/s=123456')\nsys.stdout.flush()\n",
    "warnings": "print('/x/site-packages/lib.py:3: UserWarning: libcudart.so.11.0: cannot open shared object file: No such file or directory\\n  warn(\\nWARNING:tensorflow: No space left on device was seen', file=sys.stderr, flush=True)\n",
    "recovered": "import traceback\ntry: open('/optional')\nexcept OSError: traceback.print_exc()\nfor n in range(3): print(f'step {n}: loss 0.3', flush=True)\n",
}


EVERY = 8
"""So many of the programs are run once more, in noise."""


def noisy(programs: tuple[Broken, ...]) -> tuple[Broken, ...]:
    """Some of the Python programs again, each with one kind of noise before it."""
    fit = [one for one in programs if one.code and not one.imports and not one.heals][::EVERY]
    kinds = list(NOISE.items())
    return tuple(
        one._replace(name=f"{one.name}_with_{kind}", code=noise + dedent(one.code))
        for place, one in enumerate(fit)
        for kind, noise in [kinds[place % len(kinds)]]
    )
