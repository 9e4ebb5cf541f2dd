"""Who may ask: everybody on the loopback while no token is set, else who brings the token.

Routes are closed unless they say ``public=True``, so a forgotten route is a closed one.
"""

import hmac
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from pydantic import SecretStr

from app.api.problems import Forbidden
from app.errors import SetupError, Unauthorized
from app.settings import Settings


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
        Forbidden: without a token, a web page from elsewhere asks.

    """
    if handler.opt.get("public"):
        return
    token: SecretStr | None = connection.app.state.settings.api_token
    if token is None:
        _refuse_foreign_pages(connection.headers.get("origin"))
    elif not _carries(connection.headers.get("authorization", ""), token):
        raise Unauthorized("Send the API token as 'Authorization: Bearer <token>'.")


def _carries(authorization: str, token: SecretStr) -> bool:
    scheme, _, sent = authorization.partition(" ")
    expected = token.get_secret_value().encode()
    return scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), expected)


def _refuse_foreign_pages(origin: str | None) -> None:
    # A browser lets any page send a POST to the loopback, and tells where the page came from. Stages run commands.
    if origin is not None and not _is_this_machine(urlsplit(origin).hostname or ""):
        raise Forbidden("Web pages of other origins may not use this API while it has no token.")


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
