"""Who may ask: generated from the OpenAPI document, so that a new route cannot be forgotten."""

import re
from uuid import uuid4

import httpx2
import pytest
from pydantic import SecretStr

from app.api.openapi import document
from app.asgi import create_app
from app.errors import SetupError

TOKEN = "correct horse battery staple"
REFUSED = {
    "none": {},
    "a wrong one": {"authorization": "Bearer wrong"},
    "half of it": {"authorization": f"Bearer {TOKEN[:-1]}"},
    "more than it": {"authorization": f"Bearer {TOKEN}!"},
    "an empty one": {"authorization": "Bearer"},
    "another scheme": {"authorization": f"Basic {TOKEN}"},
    "no scheme": {"authorization": TOKEN},
    "not ASCII": {"authorization": b"Bearer \xff\xfe"},
}
NOT_IN_THE_DOCUMENT = [
    ("GET", "/"),
    ("GET", "/docs"),
    ("GET", "/schema"),
    ("GET", "/schema/openapi.json"),
    ("GET", "/schema/x"),
]


@pytest.fixture
def guarded(settings):
    return settings.model_copy(update={"api_token": SecretStr(TOKEN)})


def operations(settings):
    """Every operation as (method, path, whether it is open)."""
    for path, methods in document(create_app(settings))["paths"].items():
        for method, operation in methods.items():
            yield (
                method.upper(),
                re.sub(r"\{\w+\}", str(uuid4()), path.replace("{number}", "1")),
                operation.get("security") == [],
            )


async def test_with_a_token_set_every_route_asks_for_it_but_the_two_health_checks(guarded, serve):
    routes = [*operations(guarded), *((method, path, False) for method, path in NOT_IN_THE_DOCUMENT)]
    assert len(routes) >= 16
    assert {path for _, path, is_open in routes if is_open} == {"/livez", "/readyz"}
    async with serve(guarded) as (_, url), httpx2.AsyncClient(base_url=url) as client:
        for method, path, is_open in routes:
            for name, headers in REFUSED.items():
                answer = await client.request(method, path, headers=headers)
                assert (answer.status_code == 401) is not is_open, (method, path, name)
                if not is_open:
                    assert answer.json()["code"] == "unauthorized"
                    assert answer.headers["www-authenticate"] == "Bearer"
            for scheme in ("Bearer", "bearer"):
                headers = {"authorization": f"{scheme} {TOKEN}"}
                async with client.stream(method, path, headers=headers) as answer:  # some never end
                    assert answer.status_code not in {401, 403}, (method, path)


async def test_the_right_token_opens_and_is_told_nowhere(guarded, serve, capfd):
    async with serve(guarded) as (_, url), httpx2.AsyncClient(base_url=url) as client:
        client.headers["authorization"] = f"Bearer {TOKEN}"
        texts = [(await client.get(path)).text for path in ("/metrics", "/docs", "/schema", "/readyz")]
        answer = await client.post("/api/v1/pipelines", json={"name": "n", "stages": [{"name": "a", "task": "learn"}]})
        assert answer.status_code == 201
    assert TOKEN not in "".join([*texts, answer.text, *capfd.readouterr()])


async def test_without_a_token_web_pages_from_elsewhere_are_refused(client):
    body = {"name": "n", "stages": [{"name": "a", "task": "learn"}]}
    for origin in [
        "https://evil.example",
        "null",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example:8700",
        "http://[::1",
        "http://[zz]:99999999/",
    ]:
        answer = await client.post("/api/v1/pipelines", json=body, headers={"origin": origin})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), origin
    for origin in ["http://localhost:5173", "http://127.0.0.1:8700", "http://[::1]:8700"]:
        answer = await client.post("/api/v1/pipelines", json=body, headers={"origin": origin})
        assert answer.status_code == 201, origin


FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:8700",
    "127.0.0.1.evil.example",
    "0.0.0.0",
    "192.0.2.1",
    "[zz]",
    "[::1",
    "",
]


async def test_without_a_token_nobody_is_served_who_calls_this_machine_by_another_name(client, settings, serve):
    """A page whose name is made to lead to the loopback could read every answer."""
    for host in FOREIGN_HOSTS:
        answer = await client.get("/api/v1/pipelines", headers={"host": host})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), host
        assert (await client.get("/livez", headers={"host": host})).status_code == 200
    for host in ["localhost", "LOCALHOST:8700", "127.0.0.1", "127.1.2.3:1", "[::1]:8700"]:
        assert (await client.get("/api/v1/pipelines", headers={"host": host})).status_code == 200, host
    named = settings.model_copy(update={"allowed_hosts": "headway.internal, other"})
    async with serve(named) as (_, url), httpx2.AsyncClient(base_url=url) as other:
        headers = {"host": "headway.internal:80", "origin": "http://headway.internal"}
        assert (await other.get("/api/v1/pipelines", headers=headers)).status_code == 200
        assert (await other.get("/api/v1/pipelines", headers={"host": "evil.example"})).status_code == 403


async def test_with_a_token_the_name_of_the_machine_does_not_matter(guarded, serve):
    async with serve(guarded) as (_, url), httpx2.AsyncClient(base_url=url) as client:
        headers = {"host": "headway.example", "authorization": f"Bearer {TOKEN}"}
        assert (await client.get("/api/v1/pipelines", headers=headers)).status_code == 200


async def test_no_page_of_another_origin_may_read_an_answer(client):
    answer = await client.get("/api/v1/pipelines", headers={"origin": "http://localhost:5173"})
    preflight = {"origin": "https://evil.example", "access-control-request-method": "DELETE"}
    options = await client.options("/api/v1/pipelines", headers=preflight)
    for headers in (answer.headers, options.headers):
        assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_without_a_token_other_machines_are_not_served(settings, host):
    with pytest.raises(SetupError, match="HEADWAY_API_TOKEN"):
        create_app(settings.model_copy(update={"host": host}))
    create_app(settings.model_copy(update={"host": host, "api_token": SecretStr(TOKEN)}))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_without_a_token_this_machine_is_served(settings, host):
    create_app(settings.model_copy(update={"host": host}))
