"""What is kept: the best n, the pinned, the last of what may run again; and whatever is in doubt."""

import math
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from app.core.retention import RESUME_POINTS, Rule, judge
from schemas.checkpoint import StoredCheckpoint
from schemas.states import CheckpointState

A_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
LOSSES = st.one_of(
    st.floats(min_value=0, max_value=3).map(lambda value: round(value, 1)),  # so that there are ties
    st.sampled_from([math.nan, math.inf, -math.inf, None, "0.1", True, [0.1], 10**400]),
)
RULES = st.builds(
    Rule,
    best_n=st.integers(1, 4),
    metric=st.just("loss"),
    mode=st.sampled_from(["min", "max"]),
    keep_last=st.booleans(),
)


def stored(number, *, step=None, loss=0.5, **fields):
    fields = {
        "stage": "train",
        "state": CheckpointState.COMPLETE,
        "pinned": False,
        "live": False,
        "held": False,
    } | fields
    return StoredCheckpoint(
        id=number,
        pipeline=UUID(int=1),
        task_id=UUID(int=2),
        attempt=1,
        step=number if step is None else step,
        path=f"/{number}",
        metrics={} if loss is None else {"loss": loss},
        bytes=1,
        reason=None,
        created_at=A_MOMENT,
        **fields,
    )


@st.composite
def checkpoints(draw):
    live = {stage: draw(st.booleans()) for stage in ("train", "tune")}
    found = []
    for number in range(draw(st.integers(0, 12))):
        stage, state = draw(st.sampled_from(["train", "tune"])), draw(st.sampled_from([*CheckpointState, "molten"]))
        held = live[stage] and draw(st.booleans())
        pinned = state not in {"deleting", "deleted"} and draw(st.integers(0, 5)) == 0
        about = {"stage": stage, "state": state, "live": live[stage], "held": held, "pinned": pinned}
        found.append(stored(number, step=draw(st.integers(0, 6)), loss=draw(LOSSES), **about))
    return found


def is_score(value):
    return type(value) in {int, float} and abs(value) < 1e300 and math.isfinite(value)


@given(checkpoints(), RULES)
def test_everything_is_kept_or_deleted_and_what_has_a_reason_to_stay_stays(found, rule):
    verdict = judge(found, rule)
    keep, delete = ({each.id for each in part} for part in (verdict.keep, verdict.delete))
    assert keep | delete == {each.id for each in found}
    assert not keep & delete
    complete = [each for each in found if each.state == "complete"]
    for each in found:
        doubtful = each.state == "molten" or (each.state == "writing" and each.held)
        if each.pinned or doubtful or each.state == "deleted":
            assert each.id in keep
    for stage in ("train", "tune"):
        newest_first = sorted((c for c in complete if c.stage == stage), key=lambda c: (-c.step, -c.id))
        if newest_first and newest_first[0].live:
            assert {each.id for each in newest_first[:RESUME_POINTS]} <= keep
        if newest_first and rule.keep_last:
            assert newest_first[0].id in keep


@given(checkpoints(), RULES)
def test_the_best_are_kept_of_equals_the_earlier_step_and_what_is_no_number_is_never_the_best(found, rule):
    verdict = judge(found, rule)
    sign = 1 if rule.mode == "min" else -1
    scored = [each for each in found if each.state == "complete" and is_score(each.metrics.get("loss"))]
    best = sorted(scored, key=lambda each: (sign * each.metrics["loss"], each.step, each.id))[: rule.best_n]
    assert [each.id for each in verdict.keep[: len(best)]] == [each.id for each in best]
    if scored:
        reasons = {each.id for each in best} | {each.id for each in found if each.pinned or each.live}
        last = (
            {
                max((c for c in found if c.stage == s and c.state == "complete"), key=lambda c: (c.step, c.id)).id
                for s in {each.stage for each in found if each.state == "complete"}
            }
            if rule.keep_last
            else set()
        )
        finished = {each.id for each in found if each.state in {"complete", "invalid"}} - reasons - last
        assert finished <= {each.id for each in verdict.delete}


@given(checkpoints(), RULES)
def test_while_nothing_can_be_called_the_best_nothing_is_newly_deleted(found, rule):
    blind = Rule(best_n=rule.best_n, metric="accuracy", mode=rule.mode, keep_last=rule.keep_last)
    verdict = judge(found, blind)
    assert all(each.state == "deleting" for each in verdict.delete)
    assert verdict.undecided == any(each.state == "complete" for each in found)


@given(checkpoints(), RULES)
def test_judged_again_after_the_deletion_the_rule_finds_nothing_more(found, rule):
    keep = judge(found, rule).keep
    assert judge(keep, rule).delete == []


def test_the_best_two_of_five():
    found = [stored(1, loss=0.9), stored(2, loss=0.2), stored(3, loss=0.4), stored(4, loss=0.2), stored(5, loss=0.3)]
    verdict = judge(found, Rule(best_n=2, metric="loss"))
    assert [each.id for each in verdict.keep] == [2, 4]
    assert [each.id for each in verdict.delete] == [1, 3, 5]


def test_a_rule_tells_itself_in_words():
    assert str(Rule(best_n=3, metric="val_loss", keep_last=True)) == "best 3 by val_loss (min), and the last"
