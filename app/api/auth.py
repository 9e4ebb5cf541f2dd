"""Who may ask: everybody on the loopback while no token is set, else who brings the token.

Routes are closed unless they say ``public=True``, so a forgotten route is a closed one.
"""

import hmac
from collections.abc import Container
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from pydantic import SecretStr

from app.api.problems import Forbidden
from app.errors import SetupError, Unauthorized
from app.settings import Settings, names_in


def require_token_or_loopback(settings: Settings) -> None:
    """Refuse to serve other machines without a token.

    Raises:
        SetupError: the host is not a loopback address and no token is set.

    """
    if settings.api_token is None and not _is_this_machine(settings.host):
        raise SetupError(
            f"HEADWAY_HOST is {settings.host}, which other machines can reach: set HEADWAY_API_TOKEN, "
            "or bind to 127.0.0.1.",
        )


def authorise(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Guard of every route.

    Raises:
        Unauthorized: the token is missing or wrong.
        Forbidden: without a token, a web page from elsewhere asks, or somebody who calls this machine by another name.

    """
    if handler.opt.get("public"):
        return
    settings: Settings = connection.app.state.settings
    token = settings.api_token
    if token is None:
        _refuse_others(connection, names_in(settings.allowed_hosts))
    elif not _carries(connection.headers.get("authorization", ""), token):
        raise Unauthorized("Send the API token as 'Authorization: Bearer <token>'.")


def _carries(authorization: str, token: SecretStr) -> bool:
    scheme, _, sent = authorization.partition(" ")
    expected = token.get_secret_value().encode()
    return scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), expected)


def _refuse_others(connection: ASGIConnection[Any, Any, Any, Any], allowed: Container[str]) -> None:
    # A browser lets any page send a POST to the loopback, and tells where the page came from. Stages run commands.
    origin, host = connection.headers.get("origin"), connection.headers.get("host")
    if origin is not None and not _is_one_of_us(origin, allowed):
        raise Forbidden("Web pages of other origins may not use this API while it has no token.")
    # A page whose own name is made to lead here (DNS rebinding) is of the same origin; what betrays it is that name.
    if host is not None and not _is_one_of_us(f"//{host}", allowed):
        raise Forbidden(
            "Without a token this API answers to localhost and 127.0.0.1 only: use one of these, name this one in "
            "HEADWAY_ALLOWED_HOSTS, or set HEADWAY_API_TOKEN."
        )


def _is_one_of_us(address: str, allowed: Container[str]) -> bool:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return False
    return host in allowed or _is_this_machine(host)


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
