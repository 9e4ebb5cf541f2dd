"""``Idempotency-Key``: the header that makes a create call safe to repeat."""

import re
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Annotated, Any

from litestar import Request
from litestar.params import HeaderParameter

from app.api.dispatch import after_commit
from app.api.state import ApiState
from app.core.plan import Plan
from app.errors import KeyInvalid
from app.services import idempotency
from app.services.idempotency import Created
from schemas.idempotency import IdempotencyKey
from schemas.limits import IDEMPOTENCY_KEY_MAX

HEADER = "Idempotency-Key"
REPLAYED: Mapping[str, str] = {"Idempotency-Replayed": "true"}
_VISIBLE = re.compile(rf"[!-~]{{1,{IDEMPOTENCY_KEY_MAX}}}")

KeyHeader = Annotated[
    str | None,
    HeaderParameter(
        name=HEADER,
        description="Repeating the request with the same key creates nothing new, for 24 hours.",
        schema_extra={"minLength": 1, "maxLength": IDEMPOTENCY_KEY_MAX, "pattern": "^[!-~]+$"},
    ),
]


async def create_once(
    request: Request[Any, Any, Any],
    state: ApiState,
    planned: Callable[[], Awaitable[Plan]],
) -> Created:
    """Create a pipeline and dispatch it; or find the one that this very request has created before.

    Raises:
        KeyInvalid: the header is not a key.
        KeyInFlight, KeyReused, Gone: as ``app.services.idempotency.create``; and what ``planned`` raises.

    """
    key = await _read_key(request)
    if key is None:
        created = await idempotency.create(state.pool, await planned(), None)
    elif known := await idempotency.find(state.pool, key):
        return known
    else:
        created = await idempotency.create(state.pool, await planned(), key)
    await after_commit(state, created.transition)
    return created


async def _read_key(request: Request[Any, Any, Any]) -> IdempotencyKey | None:
    sent = request.headers.getall(HEADER, [])
    if not sent:
        return None
    if len(sent) > 1 or not _VISIBLE.fullmatch(sent[0]):
        raise KeyInvalid(f"Send one {HEADER} of 1 to {IDEMPOTENCY_KEY_MAX} visible ASCII characters, such as a UUID.")
    return IdempotencyKey(sent[0], _fingerprint(request, await request.body()))


def _fingerprint(request: Request[Any, Any, Any], body: bytes) -> bytes:
    """What makes two requests the same: method, path, query and the bytes of the body."""
    head = f"{request.method}\n{request.scope['path']}\n".encode()
    return sha256(head + request.scope["query_string"] + b"\n" + body).digest()
