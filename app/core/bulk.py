"""Bulk actions: which pipelines a request means, before anything is looked up."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec
from msgspec import UNSET

from app.core.pointer import pointer
from app.core.transitions import PIPELINE_MOVES, PipelineEvent
from app.errors import Fault, InvalidRequest
from schemas.bulk import BulkRequest, PipelineFilter
from schemas.states import PIPELINE_TERMINAL, PipelineStatus


class BulkVerb(StrEnum):
    """What can be done to many pipelines in one call."""

    CANCEL = "cancel"
    RETRY = "retry"
    DELETE = "delete"


def _moved_by(event: PipelineEvent) -> list[PipelineStatus]:
    return [before for before, after in PIPELINE_MOVES[event].items() if before is not None and before is not after]


FITTING: Mapping[BulkVerb, list[PipelineStatus]] = {
    BulkVerb.CANCEL: _moved_by(PipelineEvent.CANCEL),
    BulkVerb.RETRY: _moved_by(PipelineEvent.RETRY),
    BulkVerb.DELETE: [PipelineStatus.PENDING, *(status for status in PipelineStatus if status in PIPELINE_TERMINAL)],
}
"""The statuses in which a verb does something. Who means all that match means those; who names uuids means those."""


def meant(verb: BulkVerb, request: BulkRequest) -> PipelineFilter:
    """The filter to select by; it has statuses or uuids, so that it never looks at what the verb cannot touch.

    Raises InvalidRequest when it is not clear that all are meant, or when a status is asked for that the verb does not
    fit.
    """
    wanted = request.filter
    narrows = wanted != PipelineFilter()
    if narrows == request.all:
        raise _refused(*(_BOTH if narrows else _NEITHER))
    if wanted.status is not UNSET:
        _require_fitting(verb, wanted.status)
    elif wanted.uuids is UNSET:
        return msgspec.structs.replace(wanted, status=FITTING[verb])
    return wanted


_NEITHER = "filter_required", 'say which pipelines in "filter", or {"all": true} for every one that fits', "/filter"
_BOTH = "filter_and_all", '"filter" and "all" contradict each other; send one of them', "/all"


def _require_fitting(verb: BulkVerb, statuses: Iterable[PipelineStatus]) -> None:
    fitting = FITTING[verb]
    for place, status in enumerate(statuses):
        if status not in fitting:
            detail = f"{verb} does not fit pipelines that are {status}, only {' or '.join(fitting)}"
            raise _refused("status_does_not_fit", detail, pointer("filter", "status", place))


def _refused(code: str, detail: str, place: str) -> InvalidRequest:
    return InvalidRequest(detail, faults=(Fault(code, detail, place),))
