"""How long an event takes from its transaction to a client, while about 500 a second are told."""

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import datetime
from statistics import quantiles

from bench import wire
from bench.headway import Installation

PIPELINES_PER_S = 33
DURATION_S = 10.0
IDLE = 1_000
STAGES = [{"name": f"s{n}", "task": "noop"} for n in range(4)]
"""Fifteen events a pipeline."""


def measure(installation: Installation) -> dict[str, float]:
    """With one client, and with a thousand more that have nothing to hear."""
    alone = asyncio.run(_latencies_ms(installation, idle=0))
    crowded = asyncio.run(_latencies_ms(installation, idle=IDLE))
    return _told("1 client", alone) | _told(f"{IDLE:,} clients", crowded)


def _told(name: str, latencies_ms: list[float]) -> dict[str, float]:
    percentiles = quantiles(latencies_ms, n=100)
    return {
        f"{name}: events/s": len(latencies_ms) / DURATION_S,
        f"{name}: p50 ms": percentiles[49],
        f"{name}: p99 ms": percentiles[98],
    }


async def _latencies_ms(installation: Installation, *, idle: int) -> list[float]:
    quiet = installation.client.post("/api/v1/pipelines", json={"name": "quiet", "stages": STAGES}).json()["uuid"]
    latencies_ms: list[float] = []
    async with AsyncExitStack() as streams:
        for _ in range(idle):
            reader, writer = await streams.enter_async_context(wire.connect(installation.port))
            writer.write(wire.request("GET", f"/api/v1/pipelines/{quiet}/events"))
            await reader.readuntil(b"\r\n\r\n")
        reader, writer = await streams.enter_async_context(wire.connect(installation.port))
        writer.write(wire.request("GET", "/api/v1/events"))
        await reader.readuntil(b"\r\n\r\n")
        following = asyncio.create_task(_follow(reader, latencies_ms))
        await _load(installation.port)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    return latencies_ms


async def _follow(reader: asyncio.StreamReader, latencies_ms: list[float]) -> None:
    while True:
        block = await reader.readuntil(b"\n\n")
        now = time.time()
        latencies_ms += [1_000 * (now - datetime.fromisoformat(e["time"]).timestamp()) for e in wire.events(block)]


async def _load(port: int) -> None:
    message = wire.request("POST", "/api/v1/pipelines", {"name": "load", "stages": STAGES, "start": True})
    started = time.perf_counter()
    async with wire.connect(port) as (reader, writer):
        for n in range(int(PIPELINES_PER_S * DURATION_S)):
            await asyncio.sleep(started + n / PIPELINES_PER_S - time.perf_counter())
            writer.write(message)
            await wire.answer(reader)
