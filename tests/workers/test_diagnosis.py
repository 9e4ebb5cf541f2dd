"""What a worker knows of an attempt at its end, and that its outcome is committed whatever the diagnosis does."""

import math
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from schemas.stage import Claim, Completion
from schemas.states import Outcome
from workers import diagnosis, kernel
from workers.diagnosis import diagnosed
from workers.heard import LOSSES_KEPT, Heard
from workers.outcome import Ending
from workers.room import Attempt, Stop


@pytest.fixture
def attempt():
    fields = dict.fromkeys(Claim.__struct_fields__, 0) | {"params": {}, "references": {}}
    return Attempt(Claim(**fields | {"stage": UUID(int=1), "lease_token": UUID(int=2), "timeout_s": 60.0}))


@pytest.fixture
def heard(attempt):
    return Heard(attempt)


def failed(outcome=Outcome.FAILED, **error):
    return Completion(UUID(int=1), 1, UUID(int=2), outcome, error={"code": "exit_nonzero", "message": "", **error})


def test_what_is_not_said_is_not_known(heard):
    facts = heard.facts()
    assert (facts.spoke, facts.step, facts.progress, facts.losses, facts.silent_s) == (False, None, None, [], None)
    assert facts.ran_s >= 0


def test_the_last_step_and_the_last_losses_are_remembered(heard):
    for step in range(LOSSES_KEPT + 5):
        heard.take({"type": "metrics", "step": step, "values": {"lr": 1.0, "train/loss": step / 2, "val_loss": -1}})
    heard.take({"type": "progress", "step": 30, "total": 40})
    facts = heard.facts()
    assert (facts.spoke, facts.step, facts.progress, facts.losses[-1]) == (True, 30, 0.75, 12)
    assert len(facts.losses) == LOSSES_KEPT
    assert facts.silent_s <= facts.ran_s


def test_a_loss_that_is_no_number_is_null(heard):
    for loss in (1.0, math.nan, math.inf):
        heard.take({"type": "metrics", "step": 1, "values": {"loss": loss}})
    assert heard.facts().losses == [1.0, None, None]


@pytest.mark.parametrize(
    "line",
    [
        {"type": "metrics", "values": [1]},
        {"type": "metrics", "values": {"loss": "x"}, "step": True},
        {"type": "metrics", "values": {"loss": 10**400}, "step": 10**400},
        {"type": "progress", "step": "x", "total": 0},
        {"type": "progress", "step": math.nan, "total": math.inf},
        {},
    ],
)
def test_nonsense_is_heard_and_forgotten(heard, line):
    heard.take(line)
    facts = heard.facts()
    assert (facts.spoke, facts.step, facts.progress, facts.losses) == (True, None, None, [])


def test_what_it_says_after_it_was_asked_to_stop_is_not_its_work(attempt, heard):
    heard.take({"type": "progress", "step": 1, "total": 10})
    attempt.stop(Stop.TIMEOUT)
    heard.take({"type": "progress", "step": 10, "total": 10})
    assert heard.facts().step == 1


def test_the_kernels_kills_are_counted(monkeypatch, tmp_path):
    monkeypatch.setattr(kernel, "VMSTAT", tmp_path / "vmstat")
    before = kernel.oom_kills()
    (tmp_path / "vmstat").write_text("nr_free_pages 5\noom_kill 3\n")
    assert kernel.oom_kills() - before == 3


async def test_what_failed_is_diagnosed_with_what_was_heard(heard):
    heard.take({"type": "progress", "step": 1, "total": 10})
    ending = Ending(Outcome.FAILED, log="CUDA out of memory. Tried to allocate 2.00 GiB\n" * 1_000)
    found = (await diagnosed(failed(), ending, heard)).diagnosis
    assert (found.category, found.facts.step) == ("gpu_oom", 1)


async def test_what_the_program_gives_up_itself_is_never_to_be_tried_again(heard):
    ending = Ending(Outcome.FAILED, retryable=False)
    assert (await diagnosed(failed(), ending, heard)).diagnosis.outlook == "never"
    timed_out = failed(Outcome.TIMED_OUT, code="total_timeout")
    assert (await diagnosed(timed_out, ending, heard)).diagnosis.outlook != "never"


async def test_what_ended_as_it_was_asked_to_is_not_diagnosed(heard):
    for outcome in (Outcome.COMPLETED, Outcome.CANCELLED):
        assert (await diagnosed(failed(outcome), Ending(outcome), heard)).diagnosis is None


async def test_a_fault_of_the_diagnosis_costs_nobody_an_outcome(heard, monkeypatch):
    def stumble(_):
        raise ValueError("a bug")

    monkeypatch.setattr(diagnosis, "diagnose", stumble)
    with capture_logs() as logs:
        assert await diagnosed(failed(), Ending(Outcome.FAILED), heard) == failed()
    assert [entry["event"] for entry in logs] == ["not_diagnosed"]
