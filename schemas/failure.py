"""Failures of one kind, grouped over tasks and pipelines."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from schemas.diagnosis import Domain, Outlook


class Failure(Struct, kw_only=True):
    """A kind of failure, by its fingerprint: how often it was seen and where.

    What it says of category, remedy and root line is from the newest of them; ``tasks`` are names of task types, and
    ``task_ids`` the newest few.
    """

    fingerprint: str
    category: str
    domain: Domain
    outlook: Outlook
    remedy: str
    root_line: str | None
    count: int
    first_seen: datetime
    last_seen: datetime
    tasks: list[str]
    task_ids: list[UUID]


class FailurePage(Struct, kw_only=True):
    """One page of failures, those seen last first.

    Failures are counted in portions of some thousand: a kind that was seen in an older portion too comes again behind
    it, with what is counted there. A page may be short, even empty, before the last one, whose ``next_cursor`` is null.
    """

    items: list[Failure]
    next_cursor: str | None
