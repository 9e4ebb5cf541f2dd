"""Progress by HTTP: trainings that know nothing of Headway, but speak Kubeflow's protocol, report here.

A process is told where by the variables of that protocol: a URL, and the file of a bearer token. Each attempt has a URL
and a token of its own, good for nothing else and for nobody after it. The server hears the loopback only, where plain
HTTP will do.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

import structlog
from msgspec import Struct

from workers.kubeflow import Listener, Take

URL_VARIABLE = "KUBEFLOW_TRAINER_SERVER_URL"
TOKEN_VARIABLE = "KUBEFLOW_TRAINER_SERVER_TOKEN"  # noqa: S105 - the name of a variable that names a file
HOST = "127.0.0.1"
PATH = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/headway/trainjobs/{}/status"
HEAD_BYTES_MAX = 16 * 1024
BODY_BYTES_MAX = 256 * 1024
REQUEST_TIMEOUT_S = 10.0
CONNECTIONS_MAX = 64
log = structlog.get_logger()


class ProgressServer:
    """Hears what the attempts of one worker post."""

    def __init__(self) -> None:
        self.port: int | None = None
        self._listeners: dict[str, Listener] = {}
        self._connections = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen, for as long as the block lasts; without a port to listen on the worker works all the same."""
        try:
            server = await asyncio.start_server(self._serve, HOST, 0, limit=HEAD_BYTES_MAX)
        except OSError as error:
            log.warning("no_progress_server", error=str(error))
            yield
            return
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            self.port = None
            server.close()

    @contextmanager
    def hearing(self, stage: UUID, token_file: Path, take: Take) -> Iterator[dict[str, str]]:
        """Pass on to ``take`` what an attempt posts while the block lasts; the variables tell its process where."""
        if self.port is None:
            yield {}
            return
        token, path = secrets.token_urlsafe(32), PATH.format(stage)
        _write_token(token_file, token)
        self._listeners[token] = Listener(path, take)
        try:
            yield {URL_VARIABLE: f"http://{HOST}:{self.port}{path}", TOKEN_VARIABLE: str(token_file)}
        finally:
            del self._listeners[token]
            token_file.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and hang up; nothing that a stage sends may disturb its worker."""
        if self._connections >= CONNECTIONS_MAX:
            writer.close()
            return
        self._connections += 1
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                writer.write(_answer(await self._status(reader)))
                await writer.drain()
        except (OSError, EOFError):  # it hung up, or took too long
            log.debug("progress_request_broken_off")
        except Exception:
            log.exception("progress_request_failed")
        finally:
            self._connections -= 1
            writer.close()

    async def _status(self, reader: asyncio.StreamReader) -> HTTPStatus:
        try:
            head = await _read_head(reader)
            listener = self._listener(head)
            body = await _read_body(reader, head)
        except _Refused as refused:
            return refused.status
        try:
            listener.hear(body)
        except (ValueError, RecursionError):
            return HTTPStatus.BAD_REQUEST
        return HTTPStatus.OK

    def _listener(self, head: "_Head") -> Listener:
        scheme, _, token = head.fields.get("authorization", "").partition(" ")
        listener = self._listeners.get(token.strip())
        if scheme.lower() != "bearer" or listener is None:
            raise _Refused(HTTPStatus.UNAUTHORIZED)
        if head.path != listener.path:
            raise _Refused(HTTPStatus.FORBIDDEN)
        if head.method != "POST":
            raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED)
        return listener


class _Head(Struct, frozen=True):
    method: str
    path: str
    fields: Mapping[str, str]


class _Refused(Exception):
    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


async def _read_head(reader: asyncio.StreamReader) -> _Head:
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError:
        raise _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE) from None
    request, *lines = text.rstrip("\r\n").split("\r\n")
    match request.split(" "):
        case [method, path, ("HTTP/1.1" | "HTTP/1.0")]:
            pairs = (line.partition(":") for line in lines)
            return _Head(method, path, {name.strip().lower(): value.strip() for name, _, value in pairs})
        case _:
            raise _Refused(HTTPStatus.BAD_REQUEST)


async def _read_body(reader: asyncio.StreamReader, head: _Head) -> bytes:
    length = head.fields.get("content-length", "")
    if "transfer-encoding" in head.fields or not (length.isascii() and length.isdigit()):
        raise _Refused(HTTPStatus.LENGTH_REQUIRED)
    if len(length) > len(str(BODY_BYTES_MAX)) or int(length) > BODY_BYTES_MAX:
        raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return await reader.readexactly(int(length))


def _answer(status: HTTPStatus) -> bytes:
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    return f"{head}Connection: close\r\n\r\n{{}}".encode()


def _write_token(path: Path, token: str) -> None:
    path.unlink(missing_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "w") as text:
        text.write(token)
