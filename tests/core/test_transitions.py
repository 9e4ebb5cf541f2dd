"""The grammar: what may follow what. The arrows below are those of the design, line by line."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.transitions import (
    ATTEMPT_MOVES,
    PIPELINE_MOVES,
    STAGE_MOVES,
    AttemptEvent,
    PipelineEvent,
    Refused,
    StageEvent,
    next_attempt,
    next_pipeline,
    next_stage,
    settled,
)
from app.errors import Conflict
from schemas.states import PIPELINE_TERMINAL, STAGE_TERMINAL, STAGE_WAITING, Outcome, PipelineStatus, StageStatus

PIPELINE_ARROWS = """
    - → pending : create
    pending → running : start
    running → completed : settle_completed
    running → failed : settle_failed
    running → paused : pause
    paused → running : resume
    paused → completed : settle_completed
    paused → failed : settle_failed
    pending → cancelling : cancel
    running → cancelling : cancel
    paused → cancelling : cancel
    cancelling → cancelling : cancel
    cancelling → cancelled : settle_cancelled
    failed → running : retry
    cancelled → running : retry
"""
STAGE_ARROWS = """
    - → pending : create
    pending → queued : release
    pending → skipped : skip
    queued → running : claim
    queued → failed : expire
    retrying → failed : expire
    running → completed : complete
    running → failed : fail
    running → failed : quarantine
    running → cancelled : stop
    running → retrying : retry_later
    running → retrying : rescue
    running → retrying : drain
    running → running : cancel
    retrying → queued : queue_again
    pending → cancelled : cancel
    queued → cancelled : cancel
    retrying → cancelled : cancel
    failed → pending : retry
    cancelled → pending : retry
    skipped → pending : revive
    completed → pending : revive
"""
ATTEMPT_ARROWS = """
    - → completed : complete
    - → failed : fail
    - → timed_out : time_out
    - → cancelled : stop
    - → lost : lose
"""


def arrows(moves):
    return {f"{before or '-'} → {after} : {event}" for event in moves for before, after in moves[event].items()}


@pytest.mark.parametrize(
    ("moves", "drawn"),
    [(PIPELINE_MOVES, PIPELINE_ARROWS), (STAGE_MOVES, STAGE_ARROWS), (ATTEMPT_MOVES, ATTEMPT_ARROWS)],
    ids=["pipeline", "stage", "attempt"],
)
def test_the_tables_have_exactly_the_arrows_of_the_design(moves, drawn):
    assert arrows(moves) == {line.strip() for line in drawn.strip().splitlines()}


@pytest.mark.parametrize(
    ("following", "states", "events"),
    [
        (next_pipeline, PipelineStatus, PipelineEvent),
        (next_stage, StageStatus, StageEvent),
        (next_attempt, Outcome, AttemptEvent),
    ],
)
def test_every_event_in_every_state_is_either_a_next_state_or_a_refusal_in_a_sentence(following, states, events):
    for state, event in product([None, *states], events):
        try:
            assert isinstance(following(state, event), states)
        except Refused as refusal:
            assert str(refusal).startswith(f"cannot {event.replace('_', ' ')} a")  # noqa: PT017 - both answers are fine
            assert "only one that is" in str(refusal)  # noqa: PT017


def test_a_refusal_is_a_conflict_that_says_which_states_would_fit():
    with pytest.raises(Conflict) as refusal:
        next_pipeline(PipelineStatus.COMPLETED, PipelineEvent.PAUSE)
    assert str(refusal.value) == ("cannot pause a pipeline that is completed, only one that is running")
    assert refusal.value.status == 409


def test_only_an_explicit_retry_leads_out_of_a_terminal_state():
    for status, event in product(PIPELINE_TERMINAL, set(PipelineEvent) - {PipelineEvent.RETRY}):
        with pytest.raises(Refused):
            next_pipeline(status, event)
    for status, event in product(STAGE_TERMINAL, set(StageEvent) - {StageEvent.RETRY, StageEvent.REVIVE}):
        with pytest.raises(Refused):
            next_stage(status, event)
    for outcome, event in product(Outcome, AttemptEvent):
        with pytest.raises(Refused):
            next_attempt(outcome, event)


@pytest.mark.parametrize("status", [PipelineStatus.COMPLETED, PipelineStatus.RUNNING, PipelineStatus.CANCELLING])
def test_a_pipeline_that_completed_or_has_not_settled_cannot_be_retried(status):
    with pytest.raises(Refused):
        next_pipeline(status, PipelineEvent.RETRY)


def test_a_completed_stage_is_kept_by_a_retry_unless_what_it_waited_for_begins_again():
    with pytest.raises(Refused):
        next_stage(StageStatus.COMPLETED, StageEvent.RETRY)
    assert next_stage(StageStatus.COMPLETED, StageEvent.REVIVE) is StageStatus.PENDING


def test_any_waiting_stage_is_cancelled_at_once_but_a_running_one_only_when_it_has_stopped():
    for status in STAGE_WAITING:
        assert next_stage(status, StageEvent.CANCEL) is StageStatus.CANCELLED
    asked = next_stage(StageStatus.RUNNING, StageEvent.CANCEL)
    assert asked is StageStatus.RUNNING
    assert next_stage(asked, StageEvent.STOP) is StageStatus.CANCELLED


def test_a_second_cancel_changes_nothing_but_is_no_conflict():
    assert next_pipeline(PipelineStatus.CANCELLING, PipelineEvent.CANCEL) is PipelineStatus.CANCELLING
    with pytest.raises(Refused):
        next_pipeline(PipelineStatus.CANCELLED, PipelineEvent.CANCEL)


def test_a_paused_pipeline_releases_but_does_not_let_anyone_claim():
    assert next_stage(StageStatus.PENDING, StageEvent.RELEASE, PipelineStatus.PAUSED) is StageStatus.QUEUED
    with pytest.raises(Refused, match="cannot claim a stage while its pipeline is paused"):
        next_stage(StageStatus.QUEUED, StageEvent.CLAIM, PipelineStatus.PAUSED)
    assert next_stage(StageStatus.RUNNING, StageEvent.COMPLETE, PipelineStatus.PAUSED) is StageStatus.COMPLETED


@pytest.mark.parametrize("pipeline", sorted(set(PipelineStatus) - {PipelineStatus.RUNNING, PipelineStatus.PAUSED}))
def test_nothing_moves_forward_in_a_pipeline_that_has_not_started_is_cancelling_or_has_ended(pipeline):
    for status, event in [
        (StageStatus.PENDING, StageEvent.RELEASE),
        (StageStatus.PENDING, StageEvent.SKIP),
        (StageStatus.QUEUED, StageEvent.CLAIM),
        (StageStatus.RETRYING, StageEvent.QUEUE_AGAIN),
        (StageStatus.RUNNING, StageEvent.FAIL),
        (StageStatus.RUNNING, StageEvent.RETRY_LATER),
        (StageStatus.RUNNING, StageEvent.RESCUE),
        (StageStatus.RUNNING, StageEvent.DRAIN),
        (StageStatus.RUNNING, StageEvent.QUARANTINE),
    ]:
        with pytest.raises(Refused):
            next_stage(status, event, pipeline)


C, F, S, X = StageStatus.COMPLETED, StageStatus.FAILED, StageStatus.SKIPPED, StageStatus.CANCELLED


@pytest.mark.parametrize("pipeline", [PipelineStatus.RUNNING, PipelineStatus.PAUSED])
@pytest.mark.parametrize(
    ("statuses", "end"),
    [
        ([C, C], PipelineStatus.COMPLETED),
        ([C, F, S], PipelineStatus.FAILED),
        ([C, X], PipelineStatus.FAILED),
        ([C, StageStatus.PENDING], None),
        ([F, StageStatus.RUNNING], None),
        ([C, StageStatus.QUEUED], None),
        ([C, StageStatus.RETRYING], None),
    ],
)
def test_a_pipeline_settles_when_all_stages_are_terminal_as_failed_if_any_failed_or_was_cancelled(
    pipeline, statuses, end
):
    assert settled(statuses, pipeline) is end


def test_a_cancelling_pipeline_ends_cancelled_whatever_its_stages_did_but_waits_for_the_last():
    assert settled([C, F, X, S], PipelineStatus.CANCELLING) is PipelineStatus.CANCELLED
    assert settled([C, C], PipelineStatus.CANCELLING) is PipelineStatus.CANCELLED
    assert settled([X, StageStatus.RUNNING], PipelineStatus.CANCELLING) is None


@pytest.mark.parametrize("pipeline", [PipelineStatus.PENDING, *sorted(PIPELINE_TERMINAL)])
def test_a_pipeline_that_has_not_started_or_has_ended_does_not_settle(pipeline):
    assert settled([C, F], pipeline) is None


SETTLING = {
    PipelineStatus.COMPLETED: PipelineEvent.SETTLE_COMPLETED,
    PipelineStatus.FAILED: PipelineEvent.SETTLE_FAILED,
    PipelineStatus.CANCELLED: PipelineEvent.SETTLE_CANCELLED,
}


@given(st.lists(st.sampled_from(StageStatus)), st.sampled_from(PipelineStatus))
def test_the_settle_rule_never_asks_for_a_move_that_the_grammar_refuses(statuses, pipeline):
    end = settled(statuses, pipeline)
    if end:
        assert next_pipeline(pipeline, SETTLING[end]) is end


CLIENT_CALLS = [PipelineEvent.PAUSE, PipelineEvent.RESUME, PipelineEvent.CANCEL]
ROOM_EVENTS = sorted(set(StageEvent) - {StageEvent.CREATE, StageEvent.RETRY, StageEvent.REVIVE})
STEPS = st.lists(st.one_of(st.sampled_from(CLIENT_CALLS), st.tuples(st.integers(0, 2), st.sampled_from(ROOM_EVENTS))))


@given(STEPS)
def test_after_a_cancel_no_stage_starts_and_whatever_happened_the_pipeline_can_still_end(steps):
    pipeline, stages = PipelineStatus.RUNNING, [StageStatus.PENDING] * 3
    for step in steps:
        before = list(stages)
        try:
            if isinstance(step, PipelineEvent):
                pipeline = next_pipeline(pipeline, step)
            else:
                position, event = step
                stages[position] = next_stage(stages[position], event, pipeline)
        except Refused:
            continue
        started = [new for old, new in zip(before, stages, strict=True) if new is StageStatus.RUNNING is not old]
        assert not started or pipeline is PipelineStatus.RUNNING

    for position, status in enumerate(stages):
        if status not in STAGE_TERMINAL:
            asked = next_stage(status, StageEvent.CANCEL, pipeline)
            stages[position] = next_stage(asked, StageEvent.STOP, pipeline) if asked is StageStatus.RUNNING else asked
    assert settled(stages, pipeline) in PIPELINE_TERMINAL
