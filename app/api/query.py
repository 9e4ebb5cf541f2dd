"""The query string: what is not known is refused, not ignored, so that a typo in a filter does not list everything."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from litestar import Request
from litestar.handlers.base import BaseRouteHandler
from litestar.params import QueryParameter

from app.core.wording import quoted
from app.errors import InvalidRequest, MalformedRequest
from schemas.problem import Fault

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


async def require_known_query(request: Request[Any, Any, Any]) -> None:
    """Check the query string before the framework reads it; the types of known parameters are its business.

    Raises:
        MalformedRequest: it is not UTF-8.
        InvalidRequest: a parameter is unknown here, holds a control character, or comes twice and has one value only.

    """
    raw = request.scope["query_string"]
    if not raw:
        return
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise MalformedRequest("The query string is not UTF-8.") from None
    known = _known(request.route_handler)
    faults = [fault for name, value in pairs if (fault := _fault(name, value, known))]
    counts = Counter(name for name, _ in pairs)
    faults += [_twice(name) for name, count in counts.items() if count > 1 and known.get(name) is False]
    if faults:
        raise InvalidRequest("; ".join(fault.detail for fault in faults[:3]), faults=tuple(faults[:50]))


@cache
def _known(handler: BaseRouteHandler) -> dict[str, bool]:
    """The parameters that a route has, and whether each may come more than once."""
    known = ((name, field, field.kwarg_definition) for name, field in handler.parsed_fn_signature.parameters.items())
    return {
        marked.name or name: any(kind.is_non_string_sequence for kind in (field, *field.inner_types))
        for name, field, marked in known
        if isinstance(marked, QueryParameter)
    }


def labels(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Read the values of a ``label`` parameter.

    Raises:
        InvalidRequest: one is not written ``key:value``, or a key is given two values, which no pipeline has.

    """
    found: dict[str, str] = {}
    for text in texts:
        key, colon, value = text.partition(":")
        if not (key and colon):
            raise refused("label", "is written key:value")
        if found.setdefault(key, value) != value:
            raise refused("label", f"asks for two values of {quoted(key)}; a pipeline has one of each label")
    return list(found.items())


def aware(parameter: str, moment: datetime | None) -> datetime | None:
    """Return a point in time as it was given.

    Raises:
        InvalidRequest: it has no time zone.

    """
    if moment is not None and moment.tzinfo is None:
        raise refused(parameter, "needs a time zone, such as 2030-01-31T12:00:00Z")
    return moment


def refused(parameter: str, why: str) -> InvalidRequest:
    """The error for a query parameter whose value does not do."""
    detail = f"query parameter {parameter} {why}"
    return InvalidRequest(detail, faults=(Fault("invalid_parameter", detail),))


def _twice(name: str) -> Fault:
    return Fault("invalid_parameter", f"query parameter {quoted(name)}: it is given twice and has one value only")


def _fault(name: str, value: str, known: Collection[str]) -> Fault | None:
    if name not in known:
        choice = f"known here: {', '.join(sorted(known))}" if known else "none is known here"
        return Fault("unknown_parameter", f"query parameter {quoted(name)}: {choice}")
    if _CONTROL.search(value):
        return Fault("bad_character", f"query parameter {quoted(name)}: control characters are not allowed")
    return None
