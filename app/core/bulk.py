"""Bulk actions: which pipelines a request means, before anything is looked up."""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import UNSET

from app.core.characters import filter_faults
from app.core.pointer import pointer
from app.core.transitions import PIPELINE_MOVES, PipelineEvent
from app.errors import InvalidRequest
from schemas.bulk import BulkRequest, BulkVerb, PipelineFilter
from schemas.problem import Fault
from schemas.states import PIPELINE_TERMINAL, PipelineStatus

_Statuses = list[PipelineStatus]
_OVER: _Statuses = [status for status in PipelineStatus if status in PIPELINE_TERMINAL]


def _before(event: PipelineEvent) -> _Statuses:
    return [status for status in PIPELINE_MOVES[event] if status is not None]


FITTING: Mapping[BulkVerb, _Statuses] = {
    BulkVerb.CANCEL: _before(PipelineEvent.CANCEL),
    BulkVerb.RETRY: _before(PipelineEvent.RETRY),
    BulkVerb.DELETE: [PipelineStatus.PENDING, *_OVER],
}
"""The statuses that a verb accepts."""
MEANT: Mapping[BulkVerb, _Statuses] = {
    verb: [status for status in statuses if status is not PipelineStatus.CANCELLING]
    for verb, statuses in FITTING.items()
}
"""Those in which it does something, which is what somebody means who names neither statuses nor uuids."""


def meant(verb: BulkVerb, request: BulkRequest) -> PipelineFilter:
    """The filter to select by; it has statuses or uuids, so that it never looks at what the verb cannot touch.

    Raises InvalidRequest when it is not clear that all are meant, or when something is asked for that no pipeline is
    called, or a status that the verb does not fit.
    """
    wanted = request.filter
    if faults := tuple(filter_faults(wanted)):
        raise InvalidRequest("; ".join(fault.detail for fault in faults[:3]), faults=faults)
    narrows = wanted != PipelineFilter()
    if narrows == request.all:
        raise _refused(*(_BOTH if narrows else _NEITHER))
    if wanted.status is not UNSET:
        _require_fitting(verb, wanted.status)
    elif wanted.uuids is UNSET:
        return msgspec.structs.replace(wanted, status=MEANT[verb])
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
