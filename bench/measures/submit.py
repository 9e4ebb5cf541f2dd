"""How many pipelines of four stages one API process takes in a second."""

import asyncio
import time
from collections.abc import Sequence
from itertools import cycle, islice

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
    return {"pipelines/s": rate([installation.port])}


def rate(ports: Sequence[int]) -> float:
    """Pipelines a second over connections that are spread over these API processes."""
    return asyncio.run(_submit(ports))


async def _submit(ports: Sequence[int]) -> float:
    started = time.perf_counter()
    end = started + DURATION_S
    counts = await asyncio.gather(*(_one(port, end) for port in islice(cycle(ports), CONNECTIONS)))
    return sum(counts) / (time.perf_counter() - started)


async def _one(port: int, end: float) -> int:
    count, message = 0, wire.request("POST", "/api/v1/pipelines", BODY)
    async with wire.connect(port) as (reader, writer):
        while time.perf_counter() < end:
            writer.write(message)
            await wire.answer(reader)
            count += 1
    return count
