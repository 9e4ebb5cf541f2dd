"""The simulation bites: planted defects are found. All of them are hunted by ``--mutants``; here the quick ones."""

import pytest

from app.core import retry, transitions
from schemas.states import StageStatus
from tests.properties.simulation.model import completion
from tests.properties.simulation.mutants import catalogue
from tests.properties.simulation.mutants.planting import hunt, planted

SCHEDULES = 1_000
QUICK = [
    "claim_takes_what_runs",
    "claim_ignores_the_pipeline",
    "no_fence",
    "cancelled_attempts_go_on",
    "drain_costs_a_retry",
    "events_numbered_outside_the_lock",
    "one_statement_release",
    "one_statement_siblings",
    "failure_releases",
    "skip_does_not_cascade",
    "settle_ignores_running",
    "cancel_forgets_retrying",
    "retry_tells_nobody",
    "clean_up_is_skipped",
    "alert_always",
    "allowed_failure_skips",
    "given_up_while_paused",
    "cancelled_stage_goes_on",
    "queue_pause_ignored",
    "lost_stages_not_found",
    "one_retry_more",
    "no_quarantine",
    "no_sweep",
    "no_dispatch_again",
    "starts_without_a_lease",
]


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_defect_is_found(name: str):
    found = hunt(catalogue.named(name), 0, SCHEDULES)
    assert found.rule is not None


def test_every_name_is_planted_once_and_every_survivor_names_its_guard():
    names = [each.name for each in catalogue.ALL]
    assert len(set(names)) == len(names)
    assert all(each.masked_by is None for each in catalogue.KILLABLE)
    assert all(each.masked_by for each in catalogue.ALL if each not in catalogue.KILLABLE)


def test_a_defect_is_gone_after_the_hunt():
    healthy = completion.holds, retry.quarantined, dict(transitions.STAGE_MOVES)
    for each in catalogue.ALL:
        with planted(each):
            pass
    assert (completion.holds, retry.quarantined, dict(transitions.STAGE_MOVES)) == healthy
    with pytest.raises(transitions.Refused):
        transitions.next_stage(StageStatus.COMPLETED, transitions.StageEvent.CLAIM)
