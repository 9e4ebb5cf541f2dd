"""Around every request, the unroutable ones included: its id, a log line, metrics and two protective headers."""

from time import perf_counter

import structlog
from litestar.enums import ScopeType
from litestar.handlers.base import BaseRouteHandler
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from app import metrics
from app.api.request_id import HEADER, request_id

log = structlog.get_logger("headway.api")

UNROUTED = "unrouted"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def observed(app: ASGIApp) -> ASGIApp:
    """Wrap the whole application, so that also what the router refuses is seen."""

    async def observe(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        identity = request_id(scope)
        status = 500  # what the server answers when the application does not get so far

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                marks = [(HEADER, identity.encode()), (b"x-content-type-options", b"nosniff")]
                message["headers"] = [*message["headers"], *marks]
            await send(message)

        began = perf_counter()
        with bound_contextvars(request_id=identity):
            try:
                await app(scope, receive, send_marked)
            finally:
                _record(scope, status, perf_counter() - began)

    return observe


def _record(scope: HTTPScope, status: int, duration_s: float) -> None:
    handler: BaseRouteHandler | None = scope.get("route_handler")
    options = handler.opt if handler else {}
    if options.get("quiet"):
        return
    route = scope.get("path_template", UNROUTED)
    method = scope["method"] if scope["method"] in METHODS else "OTHER"
    metrics.http_requests.labels(route, method, status).inc()
    if not options.get("stream"):
        metrics.http_request_duration.labels(route, method).observe(duration_s)
    log.info("request", method=method, route=route, status=status, ms=round(duration_s * 1000, 1))
