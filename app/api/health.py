"""Health for whatever restarts, routes to or watches this process; open to all but the metrics."""

import asyncio

from litestar import get
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.api.state import ApiState, Check
from app.errors import HeadwayError, Unavailable
from app.metrics import REGISTRY, show_periodic, show_running
from app.queue import REDIS_AWAY
from app.services import periodic
from app.services.pace import running_totals

CHECK_TIMEOUT_S = 2.0
TASKS_SHOWN_MAX = 100
VITAL = frozenset({"postgres", "streams"})


class Readiness(Struct):
    """``status`` is ``ready``, or ``degraded`` without Redis or a scheduler; each check is ``ok`` or what is wrong."""

    status: str
    checks: dict[str, str]


@get("/livez", operation_id="getLiveness", summary="Is the process alive", tags=["health"], public=True, quiet=True)
async def livez() -> dict[str, str]:
    """Answered by the event loop alone: if this fails, restart the process."""
    return {"status": "alive"}


@get("/readyz", operation_id="getReadiness", summary="Can it serve", tags=["health"], public=True, quiet=True)
async def readyz(state: ApiState) -> Readiness:
    """503 without Postgres, its migrations or event streams; 200 and ``degraded`` without Redis or a scheduler."""
    checks = state.checks
    outcomes = dict(zip(checks, await asyncio.gather(*map(_outcome, checks.values())), strict=True))
    wrong = {name for name, outcome in outcomes.items() if outcome != "ok"}
    if wrong & VITAL:
        raise Unavailable(f"Not ready: {', '.join(sorted(wrong & VITAL))}.", checks=outcomes)
    return Readiness("degraded" if wrong else "ready", outcomes)


async def _outcome(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check() or "ok"
    except HeadwayError as error:
        return error.detail
    except REDIS_AWAY:  # TimeoutError included
        return "does not answer"


@get(
    "/metrics",
    operation_id="getMetrics",
    summary="Prometheus metrics",
    tags=["health"],
    media_type=CONTENT_TYPE_LATEST,
    quiet=True,
)
async def metrics(state: ApiState) -> bytes:
    """In the Prometheus text format. Needs the token when one is set. Without Postgres, what it knows is left out."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            show_running(await running_totals(state.pool, TASKS_SHOWN_MAX))
            show_periodic(await periodic.every(state.pool))
    except (Unavailable, TimeoutError):
        show_running([])
        show_periodic([])
    return generate_latest(REGISTRY)
