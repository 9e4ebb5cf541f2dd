"""Progress by HTTP: heard from whoever has the token of an attempt, and only while that runs."""

import asyncio
import json
from contextlib import suppress
from uuid import UUID

import pytest

from workers import progress_server
from workers.progress_server import HEAD_BYTES_MAX, TOKEN_VARIABLE, URL_VARIABLE, ProgressServer

STAGE = UUID(int=7)


@pytest.fixture
async def server():
    server = ProgressServer()
    async with server.serving():
        yield server


@pytest.fixture
def attempt(server, tmp_path):
    """One that is heard: its lines, its path and its token."""
    lines = []
    with server.hearing(STAGE, tmp_path / "token", lines.append) as variables:
        lines_path_token = lines, "/" + variables[URL_VARIABLE].split("/", 3)[3], (tmp_path / "token").read_text()
        assert variables[TOKEN_VARIABLE] == str(tmp_path / "token")
        yield lines_path_token


async def exchange(server, request):
    reader, writer = await asyncio.open_connection(progress_server.HOST, server.port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return int(answer.split()[1]) if answer else None


async def post(server, path, token, body, *, method="POST", **fields):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = {"Host": "x", "Authorization": f"Bearer {token}", "Content-Length": len(text)} | fields
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items() if value is not None)
    return await exchange(server, f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + text)


def metrics(**values):
    return [{"name": name, "value": str(value)} for name, value in values.items()]


async def test_what_a_trainer_says_becomes_lines_of_the_run_contract(server, attempt):
    lines, path, token = attempt
    statuses = [
        {"progressPercentage": 0, "metrics": metrics(total_steps=200), "lastUpdatedTime": "now"},
        {
            "progressPercentage": 33,
            "estimatedRemainingSeconds": 60,
            "metrics": metrics(loss=0.5, current_step=67, total_steps=200, note="warm"),
        },
        {"progressPercentage": 100, "estimatedRemainingSeconds": 0, "metrics": metrics(train_loss=0.25)},
    ]
    for status in statuses:
        assert await post(server, path, token, {"trainerStatus": status, "initializerStatus": {}}) == 200
    assert lines == [
        {"type": "progress", "step": 0, "total": 200, "eta_s": None},
        {"type": "progress", "step": 67, "total": 200, "eta_s": 60},
        {"type": "metrics", "step": 67, "values": {"loss": 0.5}},
        {"type": "progress", "step": 200, "total": 200, "eta_s": 0},
        {"type": "metrics", "step": 200, "values": {"train_loss": 0.25}},
    ]


async def test_a_training_that_knows_percents_only_is_heard_too(server, attempt):
    lines, path, token = attempt
    assert await post(server, path, token, {"trainerStatus": {"progressPercentage": 45}}) == 200
    assert await post(server, path, token, {}) == 200
    assert await post(server, path, token, {"trainerStatus": {"metrics": metrics(loss="nan")}}) == 200
    assert lines[0] == {"type": "progress", "step": 45, "total": 100, "eta_s": None}
    assert [line["type"] for line in lines] == ["progress", "metrics"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"token": "guess"}, 401),
        ({"token": ""}, 401),
        ({"Authorization": None}, 401),
        ({"Authorization": "Basic eDp5"}, 401),
        ({"path": progress_server.PATH.format(UUID(int=8))}, 403),
        ({"method": "GET"}, 405),
        ({"body": b"{"}, 400),
        ({"body": b"[]"}, 400),
        ({"body": {"trainerStatus": {"progressPercentage": "half"}}}, 400),
        ({"body": b"\xff"}, 400),
        ({"body": b"[" * 100_000}, 400),
        ({"Content-Length": None}, 411),
        ({"Content-Length": "-1"}, 411),
        ({"Content-Length": "1e3"}, 411),
        ({"Content-Length": 10**9}, 413),
        ({"Content-Length": "9" * 5_000}, 413),
        ({"Transfer-Encoding": "chunked"}, 411),
        ({"X-Filler": "x" * HEAD_BYTES_MAX}, 431),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_is_no_report_of_this_attempt_is_refused(server, attempt, change, status):
    lines, path, token = attempt
    request = {"path": path, "token": token, "body": {"trainerStatus": {"progressPercentage": 1}}} | change
    assert await post(server, **request) == status
    assert lines == []
    assert await post(server, path, token, {"trainerStatus": {"progressPercentage": 1}}) == 200


@pytest.mark.parametrize(
    "request_line", [b"", b"\r\n\r\n", b"POST\r\n\r\n", b"\x16\x03\x01\r\n\r\n", b"A B C D\r\n\r\n"]
)
async def test_noise_disturbs_nobody(server, attempt, request_line):
    _, path, token = attempt
    _, writer = await asyncio.open_connection(progress_server.HOST, server.port)
    writer.write(request_line or b"P")
    writer.close()  # in the middle of it
    assert await post(server, path, token, {"trainerStatus": {"progressPercentage": 1}}) == 200


async def test_who_says_nothing_is_hung_up_on_and_too_many_at_once_are_sent_away(server, attempt, monkeypatch):
    _, path, token = attempt
    monkeypatch.setattr(progress_server, "REQUEST_TIMEOUT_S", 0.05)
    assert await exchange(server, b"POST ") is None
    monkeypatch.setattr(progress_server, "CONNECTIONS_MAX", 0)
    with suppress(ConnectionResetError):
        assert await post(server, path, token, {}) is None


async def test_a_token_is_the_attempts_own_and_ends_with_it(server, tmp_path):
    heard = {1: [], 2: []}
    with server.hearing(STAGE, tmp_path / "1", heard[1].append) as first:
        with server.hearing(STAGE, tmp_path / "2", heard[2].append):
            path = "/" + first[URL_VARIABLE].split("/", 3)[3]
            tokens = [(tmp_path / name).read_text() for name in "12"]
            assert await post(server, path, tokens[1], {"trainerStatus": {"progressPercentage": 2}}) == 200
        assert await post(server, path, tokens[1], {"trainerStatus": {"progressPercentage": 3}}) == 401
        assert await post(server, path, tokens[0], {"trainerStatus": {"progressPercentage": 1}}) == 200
    assert {number: [line["step"] for line in lines] for number, lines in heard.items()} == {1: [1], 2: [2]}
    assert list(tmp_path.iterdir()) == []


async def test_without_a_port_to_listen_on_stages_run_and_are_told_of_none(monkeypatch, tmp_path):
    async def refuse(*_, **__):
        raise OSError("no port is free")

    monkeypatch.setattr(asyncio, "start_server", refuse)
    server = ProgressServer()
    async with server.serving():
        with server.hearing(STAGE, tmp_path / "token", print) as variables:
            assert variables == {}
