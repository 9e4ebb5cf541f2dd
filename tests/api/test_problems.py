"""Every answer that is not 2xx is a problem document, whoever refused."""

import asyncio

import httpx2
from pydantic import SecretStr

from app.db.migrate import migrate
from app.embedded import start_postgres
from app.errors import Unavailable
from app.services import pipelines

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id"}


async def test_what_the_router_refuses_is_a_problem_too(client):
    for method, path, status, code in [
        ("GET", "/nothing/here", 404, "not_found"),
        ("GET", "/schema/nothing", 404, "not_found"),
        ("GET", "/problems/nothing", 404, "not_found"),
        ("POST", "/nothing", 404, "not_found"),
        ("PUT", "/api/v1/pipelines", 405, "method_not_allowed"),
        ("DELETE", "/api/v1/pipelines", 405, "method_not_allowed"),
        ("POST", "/livez", 405, "method_not_allowed"),
        ("BREW", "/api/v1/pipelines", 405, "method_not_allowed"),
    ]:
        answer = await client.request(method, path)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (status, code), (method, path)
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(problem) == MEMBERS
        assert problem["instance"] == path
        if status == 405:
            assert "GET" in answer.headers["allow"]


async def test_the_type_of_a_problem_can_be_looked_up(client):
    problem = (await client.get("/nothing")).json()
    explained = await client.get(problem["type"])
    assert explained.status_code == 200
    assert problem["title"] in explained.text


async def test_a_conflict_says_which_state_stood_in_the_way(client, submit):
    pipeline = await submit(start=True)
    problem = (await client.delete(f"/api/v1/pipelines/{pipeline['uuid']}")).json()
    assert "running" in problem["detail"]
    assert (problem["status"], problem["state"]) == (409, "running")
    problem = (await client.post(f"/api/v1/pipelines/{pipeline['uuid']}/resume")).json()
    assert (problem["status"], problem["state"]) == (409, "running")


async def test_an_unforeseen_error_is_logged_and_not_told(client, monkeypatch, capsys):
    async def broken(*_, **__):
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(pipelines, "list_page", broken)
    answer = await client.get("/api/v1/pipelines", headers={"x-request-id": "find-me"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "hunter2" not in answer.text
    logged = capsys.readouterr().out
    assert "hunter2" in logged
    assert "find-me" in logged


async def test_an_outage_of_postgres_says_when_to_come_back(client, monkeypatch):
    async def away(*_, **__):
        raise Unavailable("Postgres does not answer just now; try again in a moment.")

    monkeypatch.setattr(pipelines, "list_page", away)
    answer = await client.get("/api/v1/pipelines")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def test_a_postgres_that_goes_away_and_comes_back_is_such_an_outage(settings, serve, tmp_path):
    postgres = await asyncio.to_thread(start_postgres, tmp_path, durable=False)
    await migrate(postgres.url)
    settings = settings.model_copy(update={"database_url": SecretStr(postgres.url)})
    try:
        async with serve(settings) as (_, url), httpx2.AsyncClient(base_url=url, timeout=20) as client:
            assert (await client.get("/readyz")).status_code == 200
            await asyncio.to_thread(postgres.stop)
            for _ in range(3):
                answer = await client.get("/api/v1/pipelines")
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.headers["content-type"]) == (503, "application/problem+json")
            assert ready.json()["checks"]["postgres"] != "ok"
            assert (await client.get("/livez")).status_code == 200
            postgres = await asyncio.to_thread(start_postgres, tmp_path, durable=False)
            assert (await client.get("/api/v1/pipelines")).status_code == 200
    finally:
        await asyncio.to_thread(postgres.stop)


async def test_a_sane_request_id_is_kept_and_any_other_replaced(client):
    for sent, kept in {
        "abc-123": True,
        "x" * 64: True,
        "": False,
        "x" * 65: False,
        "two words": False,
        "é": False,
    }.items():
        answer = await client.get("/nothing", headers={"x-request-id": sent.encode()})
        told = answer.json()["request_id"]
        assert answer.headers["x-request-id"] == told
        assert told == sent if kept else len(told) == 32, sent
