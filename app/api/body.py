"""From the bytes of a request to a Struct, through checks that cost O(n) and refuse what a decoder would choke on."""

import asyncio
from itertools import accumulate
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException
from msgspec import Struct

from app.api.problems import UnsupportedMediaType
from app.core.decoding import fault_of
from app.errors import InvalidRequest, MalformedRequest
from schemas import limits
from schemas.problem import Fault

TIMEOUT_S = 30
T = TypeVar("T", bound=Struct)

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_DEPTH_CHANGE = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")


async def read_json(request: Request[Any, Any, Any], model: type[T]) -> T:
    """Read the body as ``model``; its size is limited by the application's ``request_max_body_size``.

    Raises:
        UnsupportedMediaType: it is not plain JSON.
        MalformedRequest: it is not UTF-8 or not JSON.
        InvalidRequest: it is too deep or not such a Struct; the fault points to the place.

    """
    _require_plain_json(request)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            body = await request.body()
    except InternalServerException:
        raise MalformedRequest("The connection ended before the body did.") from None
    except TimeoutError:
        raise MalformedRequest(f"The body did not come within {TIMEOUT_S} s.") from None
    _require_utf8(body)
    _require_shallow(body)
    try:
        return msgspec.json.decode(body, type=model)
    except msgspec.ValidationError as error:
        fault = fault_of(str(error))
        raise InvalidRequest(fault.detail, faults=(fault,)) from None
    except msgspec.DecodeError as error:
        raise MalformedRequest(f"The body is not JSON: {error}.") from None


def _require_plain_json(request: Request[Any, Any, Any]) -> None:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType("Send the body as Content-Type: application/json.")
    if "content-encoding" in request.headers:
        raise UnsupportedMediaType("Send the body without a Content-Encoding.")


def _require_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise MalformedRequest(f"The body is not UTF-8 (byte {error.start}).") from None


def _require_shallow(body: bytes) -> None:
    if _depth(body) > limits.JSON_DEPTH_MAX:
        detail = f"The body is nested deeper than {limits.JSON_DEPTH_MAX} levels."
        raise InvalidRequest(detail, faults=(Fault("too_deep", detail),))


def _depth(body: bytes) -> int:
    """How deep the brackets outside of strings nest.

    msgspec recurses with the nesting and dies of it at 1,000 levels. This never recurses, and leaves the loops to C.
    """
    outside_strings = b"".join(body.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2])
    changes = outside_strings.translate(_DEPTH_CHANGE, _NOT_BRACKETS)
    return max(accumulate(memoryview(changes).cast("b")), default=0)
