"""Every answer that is not 2xx is a problem document (RFC 9457) with a stable ``code``."""

from typing import Any

import msgspec
import structlog
from litestar import Request, Response, get
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import FromPath

from app.api.request_id import request_id
from app.errors import (
    Conflict,
    Gone,
    HeadwayError,
    InvalidRequest,
    KeyInFlight,
    KeyInvalid,
    KeyReused,
    MalformedRequest,
    NotFound,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from schemas.problem import Fault, Problem

log = structlog.get_logger("headway.api")

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
ECHO_MAX = 400


class Forbidden(HeadwayError):
    """A web page of another origin made this request; without a token only pages of this machine may."""

    code = "forbidden"
    status = 403
    title = "Not allowed"


class MethodNotAllowed(HeadwayError):
    """The path exists, but not with this method; the ``Allow`` header names those that do."""

    code = "method_not_allowed"
    status = 405
    title = "The method is not allowed here"


class UnsupportedMediaType(HeadwayError):
    """Bodies are plain JSON: ``Content-Type: application/json``, no ``Content-Encoding``, UTF-8."""

    code = "unsupported_media_type"
    status = 415
    title = "The body is of a kind that is not read here"


FAMILY: tuple[type[HeadwayError], ...] = (
    MalformedRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Conflict,
    Gone,
    TooLarge,
    UnsupportedMediaType,
    InvalidRequest,
    HeadwayError,
    Unavailable,
)
BY_STATUS = {member.status: member for member in FAMILY}
KEYS: tuple[type[HeadwayError], ...] = (KeyInvalid, KeyReused, KeyInFlight)
BY_CODE = {member.code: member for member in FAMILY + KEYS}
DETAILS = {
    404: "There is nothing at this path.",
    405: "This path does not know the method; the Allow header names those that it does.",
    413: "The body is over the size limit.",
    500: "Something broke on our side; the log has the details under this request_id.",
}
HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": str(RETRY_AFTER_S)}}


def problem_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer any exception; what nobody foresaw is logged in full and told to nobody."""
    told = _as_family(error)
    if told.status == HeadwayError.status:
        log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
    problem = problem_of(told, request.scope["raw_path"].decode("latin-1"), request_id(request.scope))
    headers = {**HEADERS.get(told.status, {}), **(getattr(error, "headers", None) or {})}
    body = msgspec.json.encode({**told.extra, **msgspec.to_builtins(problem)})
    return Response(body, status_code=told.status, media_type=MEDIA_TYPE, headers=headers)


def problem_of(error: HeadwayError, instance: str, request: str) -> Problem:
    """The problem document of an error; ``instance`` is the path that it is about, ``request`` the request's id."""
    return Problem(
        type=f"/problems/{error.code}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        instance=instance,
        code=error.code,
        request_id=request,
        errors=list(error.faults),
    )


def _as_family(error: Exception) -> HeadwayError:
    match error:
        case HeadwayError():
            return error
        case ValidationException():
            faults = tuple(_fault(entry) for entry in error.extra or [])
            return InvalidRequest("; ".join(fault.detail for fault in faults) or "A parameter is wrong.", faults=faults)
        case HTTPException():
            member = BY_STATUS.get(error.status_code, HeadwayError)
            return member(DETAILS.get(member.status, error.detail[:ECHO_MAX]))
        case _:
            return HeadwayError(DETAILS[HeadwayError.status])


def _fault(entry: Any) -> Fault:
    source = entry.get("source", "query")  # an enumeration of the framework's, or a word
    where = f"{getattr(source, 'value', source)} parameter {entry.get('key', '')}"
    return Fault("invalid_parameter", f"{where}: {entry['message'][:ECHO_MAX]}")


@get("/problems/{code:str}", operation_id="getProblemType", summary="Explain a problem code", media_type="text/plain")
async def problem_type(code: FromPath[str]) -> str:
    """Say what the ``type`` of a problem means, as plain text."""
    member = BY_CODE.get(code)
    if member is None:
        raise NotFound("There is no such problem code.")
    return f"{member.code} ({member.status})\n{member.title}\n\n{member.__doc__}\n"
