"""What is committed of an attempt, from how it ended and why it was asked to."""

import pytest

from schemas.stage import Claim
from schemas.states import Outcome
from workers.outcome import Ending
from workers.room import Stop
from workers.stage import _completion


@pytest.fixture
def claim():
    fields = dict.fromkeys(Claim.__struct_fields__, 0) | {"params": {}, "references": {}}
    return Claim(**fields | {"max_retries": 1, "retry_delay_s": 1.0, "retry_backoff": 1.0, "retry_delay_max_s": 1.0})


def test_whoever_stops_unasked_has_failed_and_is_not_said_to_have_been_asked(claim):
    stopped = Ending(Outcome.CANCELLED, error={"code": "stopped", "message": "on request", "exit_code": 85})
    completion = _completion(claim, stopped, None)
    assert (completion.outcome, completion.error["code"]) == (Outcome.FAILED, "stopped")
    assert completion.error["message"] == "It stopped as if it had been asked to (exit code 85), but nobody had."
    assert "nobody had" in _completion(claim, Ending(Outcome.CANCELLED), None).error["message"]


def test_whoever_stops_on_request_is_cancelled(claim):
    stopped = Ending(Outcome.CANCELLED, error={"code": "stopped", "message": "on request", "exit_code": 85})
    assert _completion(claim, stopped, Stop.CANCEL).outcome is Outcome.CANCELLED
    assert _completion(claim, stopped, Stop.DRAIN).costs_retry is False
