"""What is told to whatever restarts, routes to or watches the process."""

from datetime import UTC, datetime
from uuid import uuid4

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from app.api import health
from app.broadcast import Broadcaster
from app.errors import Unavailable
from app.metrics import REGISTRY
from app.services import pace, periodic, stages, workers
from schemas.periodic import SlotOutcome
from schemas.stage import Progress
from tests.support.pipelines import submit
from tests.support.workers import a_worker, ending


async def test_a_live_process_says_so(client):
    answer = await client.get("/livez")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


async def test_with_everything_there_it_is_ready(client, pool):
    await workers.scheduler_beat(pool, uuid4(), "s")
    answer = await client.get("/readyz")
    checks = dict.fromkeys(["postgres", "streams", "redis", "scheduler"], "ok")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "checks": checks})


async def test_without_a_scheduler_it_is_degraded(client):
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert [name for name, outcome in answer.json()["checks"].items() if outcome != "ok"] == ["scheduler"]


async def test_without_redis_it_starts_and_is_degraded(settings, serve, pool):
    await workers.scheduler_beat(pool, uuid4(), "s")
    settings = settings.model_copy(update={"redis_url": SecretStr("unix:///nowhere/valkey.sock")})
    async with serve(settings) as (_, url), httpx2.AsyncClient(base_url=url) as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"]["redis"] == "does not answer"


async def test_with_a_migration_missing_it_is_not_ready(client, pool):
    await pool.execute("DELETE FROM schema_migrations")
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "0001_initial" in answer.json()["checks"]["postgres"]


async def test_when_the_reader_of_events_breaks_streams_end_and_it_is_not_ready(settings, serve, monkeypatch):
    async def broken(_):
        raise RuntimeError

    body = {"name": "n", "stages": [{"name": "a", "task": "learn"}]}
    monkeypatch.setattr(Broadcaster, "_follow_connection", broken)
    async with serve(settings) as (_, url), httpx2.AsyncClient(base_url=url) as client:
        location = (await client.post("/api/v1/pipelines", json=body)).headers["location"]
        assert (await client.get(f"{location}/events")).text == "retry: 2000\n\n"
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.json()["checks"]["streams"] != "ok"


async def test_metrics_are_labelled_by_route_and_never_by_what_the_client_wrote(client, submit):
    pipeline = await submit()
    await client.get(f"/api/v1/pipelines/{pipeline['uuid']}")
    async with client.stream("GET", f"/api/v1/pipelines/{pipeline['uuid']}/events") as stream:
        assert stream.status_code == 200
    await client.request("BREW", "/wp-admin.php")
    await client.get("/livez")
    text = (await client.get("/metrics")).text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    seen = {
        (sample.labels["route"], sample.labels["method"], sample.labels["status"])
        for sample in families["headway_http_requests"].samples
        if sample.name.endswith("_total")
    }
    assert ("/api/v1/pipelines", "POST", "201") in seen
    assert ("/api/v1/pipelines/{uuid}", "GET", "200") in seen
    assert ("unrouted", "OTHER", "404") in seen
    assert pipeline["uuid"] not in text
    assert "wp-admin" not in text
    assert not any(route in {"/livez", "/metrics", "/readyz"} for route, *_ in seen)
    timed = {sample.labels["route"] for sample in families["headway_http_request_duration_seconds"].samples}
    assert "/api/v1/pipelines/{uuid}" in timed
    assert not any(route.endswith("/events") for route in timed)
    assert {"headway_build_info", "headway_sse_clients", "headway_dispatch_failures_total"} <= {
        sample.name for family in families.values() for sample in family.samples
    }


def test_every_metric_has_our_prefix_and_a_sentence():
    for family in REGISTRY.collect():
        if not family.name.startswith("process_"):
            assert family.name.startswith("headway_")
            assert family.documentation.endswith(".")


async def test_watchers_leave_no_line_in_the_log(client, capsys):
    for path in ("/livez", "/metrics", "/readyz"):
        await client.get(path)
    assert "route" not in capsys.readouterr().out


async def test_every_other_request_leaves_one_line_with_its_route_and_no_more(client, capsys):
    await client.get(f"/api/v1/pipelines/{uuid4()}?", headers={"x-request-id": "mine"})
    lines = [line for line in capsys.readouterr().out.splitlines() if "request" in line]
    assert len(lines) == 1
    for word in ("method=GET", "route=/api/v1/pipelines/{uuid}", "status=404", "request_id=mine", "ms="):
        assert word in lines[0]
    assert (await client.get("/livez")).headers["x-content-type-options"] == "nosniff"


async def test_what_runs_is_told_by_task_and_no_more_when_it_has_ended(client, pool):
    async def told():
        families = text_string_to_metric_families((await client.get("/metrics")).text)
        return {
            (sample.name.removeprefix("headway_running_"), sample.labels["task"]): sample.value
            for family in families
            if family.name.startswith("headway_running_")
            for sample in family.samples
        }

    pipeline, worker = await submit(pool, task="train_model"), await a_worker(pool)
    claim = await worker.start(pipeline)
    await stages.report_progress(pool, [Progress(claim.stage, claim.lease_token, 0.1, 10, 100, 2.5, 36)])
    assert await told() == {}
    await pace.update_job_metrics(pool)
    found = await told()
    assert 30 < found.pop(("eta_seconds", "train_model")) <= 36
    assert found == {
        ("stages", "train_model"): 1,
        ("stages_reporting", "train_model"): 1,
        ("stages_silent", "train_model"): 0,
        ("steps_per_second", "train_model"): 2.5,
    }
    await worker.report(ending(claim))
    await pace.update_job_metrics(pool)
    assert await told() == {}


async def periodic_metrics(client):
    families = text_string_to_metric_families((await client.get("/metrics")).text)
    return {
        (sample.name.removeprefix("headway_periodic_task_"), sample.labels["task"]): sample.value
        for family in families
        if family.name.startswith("headway_periodic_task_")
        for sample in family.samples
    }


async def test_when_periodic_tasks_last_succeeded_and_how_often_they_were_missed_is_told_by_task(client, pool):
    worker = await a_worker(pool)

    async def run(outcome):
        (taken,) = await periodic.take(pool, worker.id, {"scan": (3_600, 60.0)})
        await periodic.finish(pool, worker.id, taken, outcome)

    await run(SlotOutcome.COMPLETED)
    for statement in (
        "UPDATE periodic_runs SET slot = slot - interval '3 h', finished_at = '2026-01-02 03:04:05Z'",
        "UPDATE periodic_tasks SET last_slot = last_slot - interval '3 h'",
    ):
        await pool.execute(statement)
    await run(SlotOutcome.FAILED)

    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
    told = {("last_success_timestamp_seconds", "scan"): at, ("missed_total", "scan"): 2}
    assert await periodic_metrics(client) == told
    assert await periodic_metrics(client) == told


async def test_without_postgres_the_other_metrics_are_told(client, monkeypatch):
    async def away(*_):
        raise Unavailable("away")

    monkeypatch.setattr(health, "running_totals", away)
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert "headway_build_info" in answer.text
    assert await periodic_metrics(client) == {}
