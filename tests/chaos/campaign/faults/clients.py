"""Clients that do not read, hang up all the time, and send too much."""

import asyncio
import json
import socket
from http import HTTPStatus
from uuid import UUID

import httpx2

from tests.chaos.campaign.fault import fault
from tests.chaos.campaign.faults.stages import GROWTH_KB, _resident_kb
from tests.chaos.campaign.load import Load, chain
from tests.chaos.campaign.world import World
from tests.support.installation import noop
from tests.support.processes import until

READERS = 200
STAGES_MAX = 1_000
BODY_MAX = 1024 * 1024


@fault(34)
async def never_read(world: World, load: Load) -> int:
    """Two hundred clients open an event stream and never read."""
    job = load.send([noop(name, *after, sleep_s=0.02) for name, after in chain(200).items()])
    await until(lambda: job.uuid, "it is not accepted")
    assert job.uuid
    before = {api.pid: _resident_kb(api.pid) for api in world.living("api")}
    deaf = [_open(world.url, job.uuid) for _ in range(READERS)]
    await load.ended(job, 60)
    for pid, resident in before.items():
        if (growth := _resident_kb(pid) - resident) > GROWTH_KB:
            world.wrong.append(("late", f"an API process grew by {growth} KB"))
    await world.probe(load, "a pipeline beside clients that never read", 4)
    for client in deaf:
        client.close()
    return READERS


def _open(url: str, pipeline: UUID) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.connect((host, int(port)))
    client.sendall(f"GET /api/v1/pipelines/{pipeline}/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    return client


@fault(35)
async def churn(world: World, load: Load) -> int:
    """Every client hangs up each second, API processes are killed, and the streams are resumed elsewhere."""
    load.churn.set()
    for _ in range(4):
        await asyncio.sleep(1.5)
        world.kill(world.one("api"))
    load.churn.clear()
    return 4


@fault(39)
async def send_too_much(world: World, load: Load) -> int:
    """Pipelines and bodies at the limits, and one above."""
    largest = load.send([noop(f"s{n}") for n in range(STAGES_MAX)])
    async with httpx2.AsyncClient(base_url=world.url, timeout=30) as client:
        for stages, padding, expected in (
            (STAGES_MAX + 1, 0, HTTPStatus.UNPROCESSABLE_ENTITY),
            (1, BODY_MAX, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        ):
            body = {"name": "large", "stages": [noop(f"s{n}") for n in range(stages)], "description": "x" * padding}
            answer = await client.post("/api/v1/pipelines", content=json.dumps(body))
            if answer.status_code != expected:
                world.wrong.append(("ended_wrong", f"{stages} stages, {padding} bytes more: {answer.status_code}"))
    await load.ended(largest, 60)
    return 3
