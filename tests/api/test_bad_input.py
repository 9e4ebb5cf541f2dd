"""Whatever is sent, the answer is a problem that says where it is wrong, and nothing is stored."""

import asyncio
import base64
import json
from urllib.parse import urlsplit

import pytest

PATH = "/api/v1/pipelines"


def spec(*stages, **fields):
    return {"name": "digits", "stages": list(stages) or [stage()]} | fields


def stage(name="a", **fields):
    return {"name": name, "task": "learn"} | fields


def deep(levels):
    return b'{"name":"digits","stages":[{"name":"a","task":"learn","params":{"anything":' + (
        b"[" * levels + b"]" * levels + b"}}]}"
    )


REFUSED = {
    # The graph
    "a cycle": (spec(stage("a", depends_on=["b"]), stage("b", depends_on=["a"])), "cycle", "/stages/0/depends_on/0"),
    "itself": (spec(stage("a", depends_on=["a"])), "self_dependency", "/stages/0/depends_on/0"),
    "an unknown dependency": (spec(stage("a", depends_on=["z"])), "unknown_stage", "/stages/0/depends_on/0"),
    "1,001 dependencies": (spec(dependencies={"a": ["b"] * 1_001}), "invalid_value", "/dependencies"),
    "an unknown stage in dependencies": (spec(dependencies={"z": ["a"]}), "unknown_stage", "/dependencies/z"),
    "the same name twice": (spec(stage("a"), stage("a")), "duplicate_stage", "/stages/1/name"),
    # Stages
    "no stage": ({"name": "digits", "stages": []}, "invalid_value", "/stages"),
    "no stages at all": ({"name": "digits"}, "required", "/stages"),
    "a stage without a task": (spec({"name": "a"}), "required", "/stages/0/task"),
    "an unknown task": (spec(stage(task="laern")), "unknown_task", "/stages/0/task"),
    "a param of another type": (spec(stage(params={"epochs": "5"})), "param_invalid", "/stages/0/params/epochs"),
    "a param out of range": (spec(stage(params={"epochs": 0})), "param_invalid", "/stages/0/params/epochs"),
    "an unknown param": (spec(stage(params={"epoch": 1})), "param_unknown", "/stages/0/params/epoch"),
    "params that are no object": (spec(stage(params=[])), "invalid_value", "/stages/0/params"),
    "a stage name with a line end": (spec(stage("a\n")), "invalid_value", "/stages/0/name"),
    "a stage name of 64": (spec(stage("a" * 64)), "invalid_value", "/stages/0/name"),
    "an unknown queue": (spec(stage(queue="fast")), "invalid_value", "/stages/0/queue"),
    "21 retries": (spec(stage(max_retries=21)), "invalid_value", "/stages/0/max_retries"),
    "a timeout of 0": (spec(stage(timeout=0)), "invalid_value", "/stages/0/timeout"),
    "a negative delay": (spec(stage(retry_delay=-1)), "invalid_value", "/stages/0/retry_delay"),
    "a server's field": (spec(stage(status="completed")), "unknown_field", "/stages/0/status"),
    # The pipeline
    "an unknown field": (spec(nmae="x"), "unknown_field", "/nmae"),
    "an unknown field with a slash": (spec(**{"a/b~": 1}), "unknown_field", "/a~1b~0"),
    "another project": (spec(project="other"), "unknown_field", "/project"),
    "priority 0": (spec(priority=0), "invalid_value", "/priority"),
    "priority 11": (spec(priority=11), "invalid_value", "/priority"),
    "priority 5.5": (spec(priority=5.5), "invalid_value", "/priority"),
    "priority as text": (spec(priority="5"), "invalid_value", "/priority"),
    "an empty name": (spec(name=""), "invalid_value", "/name"),
    "a name of 129": (spec(name="n" * 129), "invalid_value", "/name"),
    "a label of 64": (spec(labels={"k": "v" * 64}), "invalid_value", "/labels"),
    "1,001 stages": (spec(*[stage(f"s{i}") for i in range(1_001)]), "too_many_stages", "/stages"),
    "a list": ([spec()], "invalid_value", ""),
    "null": (None, "invalid_value", ""),
    # What Postgres cannot hold
    "a NUL in the name": (spec(name="a\0b"), "bad_character", "/name"),
    "a NUL in a label": (spec(labels={"team": "\0"}), "bad_character", "/labels/team"),
    "a NUL in a param": (spec(stage(params={"note": "\0"})), "bad_character", "/stages/0/params/note"),
    "a NUL in a param's key": (
        spec(stage(params={"anything": {"\0": 1}})),
        "bad_character",
        "/stages/0/params/anything",
    ),
    "an integer of 400 digits": (
        spec(stage(params={"anything": 10**399})),
        "param_invalid",
        "/stages/0/params/anything",
    ),
    "2⁶⁴": (spec(stage(params={"anything": 2**64})), "param_invalid", "/stages/0/params/anything"),
    "params of 65 KiB": (spec(stage(params={"note": "n" * 65 * 1024})), "params_too_large", "/stages/0/params"),
    "33 levels": (deep(29), "too_deep", None),
    "1,000 levels": (deep(1_000), "too_deep", None),
    "100,000 brackets left open": (b"[" * 100_000, "too_deep", None),
}
UNREADABLE = {
    "nothing": b"",
    "no JSON": b"name: digits",
    "half a body": b'{"name": "digits"',
    "two bodies": json.dumps(spec()).encode() * 2,
    "a bracket too many": b"]" * 100_000,
    "a trailing comma": b'{"name": "digits",}',
    "a comment": b'{"name": "digits" /* */}',
    "NaN": b'{"name": NaN}',
    "a lone surrogate": rb'{"name": "\ud800", "stages": [{"name": "a", "task": "learn"}]}',
    "a raw control character": b'{"name": "\x01"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "invalid UTF-8": b'{"name": "\xff"}',
    "UTF-16": json.dumps(spec()).encode("utf-16"),
}


@pytest.fixture
async def nothing_stored(pool):
    yield
    for table in ("pipelines", "stages", "events"):
        assert await pool.fetchval(f"SELECT count(*) FROM {table}") == 0


def told(answer):
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"/problems/{problem['code']}"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"]
    assert len(answer.content) < 20_000, "an answer must not grow with what it refuses"
    return problem


@pytest.mark.usefixtures("nothing_stored")
async def test_what_cannot_be_a_pipeline_is_refused_with_a_pointer(client):
    got = {}
    for name, (body, *_) in REFUSED.items():
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await client.post(PATH, content=raw, headers={"content-type": "application/json"})
        assert answer.status_code == 422, (name, answer.text)
        fault = told(answer)["errors"][0]
        got[name] = (fault["code"], fault.get("pointer"))
    assert got == {name: (code, pointer) for name, (_, code, pointer) in REFUSED.items()}


@pytest.mark.usefixtures("nothing_stored")
async def test_what_cannot_be_read_is_malformed(client):
    for name, raw in UNREADABLE.items():
        answer = await client.post(PATH, content=raw, headers={"content-type": "application/json"})
        assert (answer.status_code, told(answer)["code"]) == (400, "malformed_request"), (name, answer.text)


async def test_32_levels_are_read(client):
    answer = await client.post(f"{PATH}?dry_run=true", content=deep(28))
    assert answer.status_code == 200, answer.text


async def test_brackets_in_strings_are_no_levels(client):
    params = {"note": "ends with \\", "anything": ['\\"[{' * 50, {'"': "[" * 50}]}
    answer = await client.post(f"{PATH}?dry_run=true", json=spec(stage(params=params)))
    assert answer.status_code == 200, answer.text


async def test_all_faults_are_told_at_once(client):
    stages = [stage("a", task="nope"), stage("a"), stage("b", depends_on=["z"])]
    problem = told(await client.post(PATH, json=spec(*stages)))
    assert {fault["code"] for fault in problem["errors"]} == {"unknown_task", "duplicate_stage", "unknown_stage"}


@pytest.mark.usefixtures("nothing_stored")
async def test_a_body_of_another_kind_is_refused(client):
    for headers in [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=b"},
        {"content-type": ""},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ]:
        answer = await client.post(PATH, content=json.dumps(spec()).encode(), headers=headers)
        assert (answer.status_code, told(answer)["code"]) == (415, "unsupported_media_type"), headers


async def test_a_body_without_a_content_type_is_taken_for_json(client):
    answer = await client.post(PATH, content=json.dumps(spec()).encode())
    assert "content-type" not in answer.request.headers
    assert answer.status_code == 201


@pytest.mark.usefixtures("nothing_stored")
async def test_a_body_over_the_limit_is_refused_whether_announced_or_not(client):
    raw = json.dumps(spec(description="d" * 2 * 1024 * 1024)).encode()

    async def chunks():
        for start in range(0, len(raw), 64 * 1024):
            yield raw[start : start + 64 * 1024]

    for content in (raw, chunks()):
        answer = await client.post(PATH, content=content, headers={"content-type": "application/json"})
        assert (answer.status_code, told(answer)["code"]) == (413, "too_large")


def cursor(text):
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


QUERIES = {
    "stauts=running": (422, "unknown_parameter"),
    "after=1": (422, "unknown_parameter"),
    "request=1": (422, "unknown_parameter"),
    "limit=0": (422, "invalid_parameter"),
    "limit=201": (422, "invalid_parameter"),
    "limit=10000000000000000000": (422, "invalid_parameter"),
    "limit=-1": (422, "invalid_parameter"),
    "limit=": (422, "invalid_parameter"),
    "status=runing": (422, "invalid_parameter"),
    "sort=name": (422, "invalid_parameter"),
    "label=team": (422, "invalid_parameter"),
    "created_after=yesterday": (422, "invalid_parameter"),
    "created_after=2030-01-31T12:00:00": (422, "invalid_parameter"),
    "created_after=0001-01-01T00:00:00%2B14:00": (422, "invalid_value"),
    "label=team:a&label=team:b": (422, "invalid_parameter"),
    "name=%00": (422, "bad_character"),
    "label=a:%00": (422, "bad_character"),
    "cursor=bm9uZSBvZiBvdXJz": (422, "cursor_invalid"),
    "cursor=%F0%9F%9A%82": (422, "cursor_invalid"),
    "cursor=" + cursor('["2030-01-31T12:00:00",1]'): (422, "cursor_invalid"),
    "cursor=" + cursor('["2030-01-31T12:00:00Z",-1]'): (422, "cursor_invalid"),
    "cursor=" + cursor('["2030-01-31T12:00:00Z",9223372036854775808]'): (422, "cursor_invalid"),
    "cursor=" + cursor('["9999-12-31T23:59:59-14:00",1]'): (422, "invalid_value"),
    "name=%ff": (400, None),
    "created_after=9999-12-31T23:59:59.999999-14:00": (422, "invalid_value"),
    "limit=1&limit=2": (422, "invalid_parameter"),
    "name=a&name=a": (422, "invalid_parameter"),
}


async def test_a_query_that_is_not_understood_is_refused_and_not_ignored(client):
    got = {}
    for query in QUERIES:
        answer = await client.get(f"{PATH}?{query}")
        fault = told(answer).get("errors", [{}])[0]
        got[query] = (answer.status_code, fault.get("code"))
    assert got == QUERIES


async def test_a_bad_name_of_a_stage_is_told_in_words(client):
    for body in (spec(stage("My Stage")), spec(stage(depends_on=["A"])), spec(dependencies={"a": ["A"]})):
        problem = told(await client.post(PATH, json=body))
        assert "lower-case letters" in problem["detail"]
        assert "regex" not in problem["detail"]


async def test_what_a_parameter_is_told_wrong_names_it_in_our_words(client):
    problem = told(await client.get(f"{PATH}?limit=0"))
    assert problem["detail"].startswith("query parameter limit: ")


async def test_filters_that_take_several_values_may_come_twice(client):
    answer = await client.get(f"{PATH}?status=running&status=pending&label=a:1&label=b:2&limit=5")
    assert answer.status_code == 200, answer.text


@pytest.mark.usefixtures("nothing_stored")
async def test_a_dry_run_that_is_called_off_in_the_same_breath_is_refused(client):
    answer = await client.post(f"{PATH}?dry_run=true&dry_run=false", json=spec())
    assert (answer.status_code, told(answer)["errors"][0]["code"]) == (422, "invalid_parameter")


async def test_other_routes_know_no_parameters(client, submit):
    pipeline = await submit()
    for method, path in [
        ("GET", f"{PATH}/{pipeline['uuid']}"),
        ("POST", f"{PATH}/{pipeline['uuid']}/start"),
        ("GET", "/livez"),
        ("GET", "/docs"),
    ]:
        answer = await client.request(method, f"{path}?force=true")
        assert (answer.status_code, told(answer)["errors"][0]["code"]) == (422, "unknown_parameter"), path
    assert (await client.get(f"{PATH}/{pipeline['uuid']}")).json()["status"] == "pending"


async def test_what_is_no_uuid_is_not_found(client):
    for uuid in ["1", "2147483648", "99999999999999999999", "%00", "..%2f", "x" * 4_000, "%ff"]:
        answer = await client.get(f"{PATH}/{uuid}")
        assert (answer.status_code, told(answer)["code"]) == (404, "not_found"), uuid


@pytest.mark.usefixtures("nothing_stored")
async def test_a_client_that_leaves_in_the_middle_of_its_body_harms_nobody(base_url, client):
    address = urlsplit(base_url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n".encode() + b'{"name": "digits"'
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await client.get("/livez")).status_code == 200


@pytest.mark.usefixtures("nothing_stored")
async def test_ambiguous_framing_never_becomes_a_pipeline(base_url, client):
    address, body = urlsplit(base_url), json.dumps(spec()).encode()
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: -5",
        "Content-Length: five",
    ]:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{framing}\r\n\r\n"
        writer.write(head.encode() + body + b"\r\n")
        assert (await reader.readline()).split()[1].startswith(b"4"), framing
        writer.close()
    assert (await client.get("/livez")).status_code == 200
