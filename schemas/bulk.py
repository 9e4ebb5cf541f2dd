"""Pipelines by the many: which ones a filter means, and the body of an action on all of them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from schemas import limits
from schemas.pipeline import LabelText, PipelineName
from schemas.problem import Problem
from schemas.states import PipelineStatus

Statuses = Annotated[list[PipelineStatus], Meta(min_length=1, max_length=len(PipelineStatus))]
SomeLabels = Annotated[dict[LabelText, LabelText], Meta(min_length=1, max_length=limits.LABELS_MAX)]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339, with a time zone")]
Uuids = Annotated[list[UUID], Meta(min_length=1, max_length=limits.BULK_MAX)]


class BulkVerb(StrEnum):
    """What can be done to many pipelines in one call."""

    CANCEL = "cancel"
    RETRY = "retry"
    DELETE = "delete"


class PipelineFilter(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which pipelines are meant: all that is given must match, of ``status`` and ``uuids`` any one.

    A list or an object that is empty is refused, because it could mean all as well as none.
    """

    status: Statuses | UnsetType = UNSET
    name: PipelineName | UnsetType = UNSET
    labels: SomeLabels | UnsetType = UNSET
    created_after: Moment | UnsetType = UNSET
    created_before: Moment | UnsetType = UNSET
    uuids: Uuids | UnsetType = UNSET


class BulkRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of a bulk action: a filter that narrows, or ``"all": true``.

    ``cursor`` is the ``next_cursor`` of the call before.
    """

    filter: PipelineFilter = field(default_factory=PipelineFilter)
    all: bool = False
    cursor: Annotated[str, Meta(max_length=limits.CURSOR_MAX)] | UnsetType = UNSET


class BulkItem(Struct, kw_only=True, omit_defaults=True):
    """What became of one pipeline: its ``status`` now, unless it is gone, and the ``problem`` if it was refused."""

    uuid: UUID
    ok: bool
    status: PipelineStatus | None = None
    problem: Problem | None = None


class BulkAnswer(Struct, kw_only=True):
    """How many matched, at most 1,000 a call, and what became of each.

    When there may be ``more``, the same request with ``next_cursor`` as its ``cursor`` goes on behind these.
    """

    matched: int
    more: bool
    next_cursor: str | None
    items: list[BulkItem]
