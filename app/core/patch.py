"""From what a client wants changed on a stored pipeline to what is written."""

from typing import Any

import msgspec

from app.core.characters import spec_faults
from app.errors import InvalidRequest
from schemas.pipeline import PipelinePatch


def changes(patch: PipelinePatch) -> dict[str, Any]:
    """The fields that the client has named, with their new values.

    Raises InvalidRequest when one of them cannot be stored.
    """
    faults = tuple(spec_faults(patch))
    if faults:
        raise InvalidRequest("; ".join(fault.detail for fault in faults[:3]), faults=faults[:50])
    named: dict[str, Any] = msgspec.to_builtins(patch)
    return named
