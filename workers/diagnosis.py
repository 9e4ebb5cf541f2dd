"""Diagnose an attempt at its end, while everything about it is still at hand."""

import asyncio

import structlog
from msgspec.structs import replace

from app.core.diagnosis import Evidence, diagnose
from schemas.stage import Completion
from schemas.states import Outcome
from workers.heard import Heard
from workers.outcome import Ending

DIAGNOSED = frozenset({Outcome.FAILED, Outcome.TIMED_OUT})
"""What stopped on request has not failed."""
_AT_ONCE_CHARS = 20_000
log = structlog.get_logger()


async def diagnosed(completion: Completion, ending: Ending, heard: Heard) -> Completion:
    """Add the diagnosis to what is to be committed. Without one, after a fault of ours, the outcome is the same."""
    if completion.outcome not in DIAGNOSED:
        return completion
    final = not ending.retryable and completion.outcome is Outcome.FAILED
    facts = heard.facts(oom_kills=ending.oom_kills, final=final)
    evidence = Evidence.of(completion.error or {}, ending.log, facts)
    try:
        if len(ending.log) < _AT_ONCE_CHARS:
            return replace(completion, diagnosis=diagnose(evidence))
        return replace(completion, diagnosis=await asyncio.to_thread(diagnose, evidence))
    except Exception:
        log.exception("not_diagnosed")
        return completion
