"""How many pipelines of four stages one API process takes in a second."""

import asyncio
import time

from bench import wire
from bench.headway import Installation

CONNECTIONS = 16
DURATION_S = 5.0
BODY = {
    "name": "submitted",
    "stages": [
        {"name": "preprocess", "task": "noop"},
        {"name": "train", "task": "noop", "depends_on": ["preprocess"]},
        {"name": "evaluate", "task": "noop", "depends_on": ["train"]},
        {"name": "clean-up", "task": "noop", "depends_on": ["evaluate"]},
    ],
}


def measure(installation: Installation) -> dict[str, float]:
    """Create as many as possible through HTTP, each answered before the next of its connection; none is started."""
    took_s, count = asyncio.run(_submit(installation.port))
    return {"pipelines/s": count / took_s}


async def _submit(port: int) -> tuple[float, int]:
    started = time.perf_counter()
    end = started + DURATION_S
    counts = await asyncio.gather(*(_one(port, end) for _ in range(CONNECTIONS)))
    return time.perf_counter() - started, sum(counts)


async def _one(port: int, end: float) -> int:
    count, message = 0, wire.request("POST", "/api/v1/pipelines", BODY)
    async with wire.connect(port) as (reader, writer):
        while time.perf_counter() < end:
            writer.write(message)
            await wire.answer(reader)
            count += 1
    return count
