"""Failures: why attempts failed, counted by kind, and what newer rules have not seen yet."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from app.db.pool import Connection
from app.db.queries import load
from schemas.diagnosis import Diagnosis
from schemas.failure import Failure

SQL = load("failures")
WALKED_MAX = 5_000
"""How many failures a portion has."""

Place = tuple[datetime, int, int, int]
"""Where a failure stands among all: when it was, and of which attempt."""
Kind = tuple[datetime, str]
"""Where a kind stands in a portion: when it was seen last, and its fingerprint."""
Key = tuple[int, int, int]
"""An attempt: its pipeline, the stage's position there, and its number."""
FIRST = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 1, 1, tzinfo=UTC)


class Selection(Struct, frozen=True, kw_only=True):
    """Which failures a list is about; None lets everything pass."""

    since: datetime | None = None
    category: str | None = None
    task: str | None = None
    pipeline_id: int | None = None


class Portion(Struct, frozen=True, kw_only=True):
    """Kinds of failures in a portion, and how far the walk went."""

    items: list[Failure]
    newest: Place | None
    oldest: Place | None
    passed: int

    @property
    def is_last(self) -> bool:
        """Whether there are no older failures."""
        return self.passed < WALKED_MAX


class Undiagnosed(Struct, frozen=True, kw_only=True):
    """A failure that newer rules have not seen: what is stored of it, and whose it was."""

    key: Key
    pipeline: UUID
    stage: str
    error: dict[str, Any] | None
    facts: dict[str, Any] | None
    rule_version: int


class Rediagnosed(Struct, frozen=True):
    """What newer rules say of a failure."""

    key: Key
    diagnosis: Diagnosis


async def walk(c: Connection, selection: Selection, below: Place, after: Kind, limit: int) -> Portion:
    """At most ``limit`` kinds of the portion of failures below a place, from behind a kind."""
    filters = (selection.category, selection.task, selection.pipeline_id)
    since = selection.since or FIRST
    found = await c.fetchval(SQL["walk"], *below, since, WALKED_MAX, *filters, *after, limit)
    return msgspec.json.decode(found, type=Portion)


async def of_older_rules(c: Connection, rule_version: int, limit: int) -> list[Undiagnosed]:
    """Failures that rules of this version have not seen."""
    return msgspec.json.decode(await c.fetchval(SQL["of_older_rules"], rule_version, limit), type=list[Undiagnosed])


async def rediagnose(c: Connection, diagnoses: Iterable[Rediagnosed]) -> int:
    """Replace diagnoses; those of the same or newer rules stay. Returns how many were replaced."""
    replaced: int = await c.fetchval(SQL["rediagnose"], msgspec.json.encode(list(diagnoses)).decode())
    return replaced
