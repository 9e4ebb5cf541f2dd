"""Idempotency keys: what each has stored, in the transaction that stored it."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from app.db.pool import Connection, unless_taken
from app.db.queries import load
from schemas.idempotency import IdempotencyKey
from schemas.stage import Transition

SQL = load("idempotency")


class Creation(Transition, frozen=True, kw_only=True):
    """The answer to a create call under a key: stored, or nothing because the key is ``known`` or ``in_flight``."""

    known: bool = False
    in_flight: bool = False


class Known(Struct, frozen=True):
    """What a key has stored; ``is_there`` until the pipeline is deleted."""

    fingerprint: bytes
    pipeline: UUID
    is_there: bool


async def create_once(
    c: Connection,
    key: IdempotencyKey,
    kept_s: float,
    spec: Mapping[str, Any],
    edges: Sequence[tuple[int, int]],
) -> Creation:
    """Store a pipeline under a key that is kept for ``kept_s``; for the rest see ``app.db.pipelines.create``."""
    sources, targets = [source for source, _ in edges], [target for _, target in edges]
    encoded = msgspec.json.encode(spec).decode()
    with unless_taken():
        answer = await c.fetchval(SQL["create_once"], key.key, key.fingerprint, kept_s, encoded, sources, targets)
    return msgspec.json.decode(answer, type=Creation)


async def find(c: Connection, project: str, key: IdempotencyKey) -> Known | None:
    """What was stored under the key, by whatever request; None if it is free."""
    row = await c.fetchrow(SQL["find"], project, key.key)
    return None if row is None else Known(*row)


async def prune(c: Connection, batch: int) -> int:
    """Forget up to ``batch`` expired keys; return how many."""
    pruned: int = await c.fetchval(SQL["prune"], batch)
    return pruned
