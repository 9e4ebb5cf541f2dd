"""Templates: params take the place of whole values, and every fault points to where it came from."""

from pathlib import Path

import msgspec
import pytest
import yaml

from app.core.built_in_templates import TRAINING
from app.core.lint import lint
from app.core.substitution import fill, with_defaults
from app.core.template import plan_template, template_faults
from app.errors import InvalidRequest
from schemas.template import Submission, Template, TemplateSpec
from workers.tasks.built_in import BUILT_IN
from workers.tasks.registration import task_type

TYPES = {name: task_type(task) for name, task in BUILT_IN.items()}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["pause"],
    "properties": {
        "pause": {"type": "number"},
        "urgency": {"type": "integer", "default": 7},
        "more": {"type": "object", "properties": {"name": {"type": "string", "default": "inner"}}, "default": {}},
        "id": {"type": "string"},
    },
}
PIPELINE = {
    "name": {"from": "params.more.name"},
    "uuid": {"from": "params.id"},
    "priority": {"from": "params.urgency"},
    "labels": {"team": "vision"},
    "stages": [{"name": "a", "task": "noop", "params": {"sleep_s": {"from": "params.pause"}}}],
}


def a_template(pipeline=PIPELINE, schema=SCHEMA) -> Template:
    return Template(
        name="t",
        version=3,
        description="",
        built_in=False,
        created_at=None,
        params_schema=schema,
        pipeline=pipeline,
    )


def planned(template=None, **fields):
    return plan_template(template or a_template(), Submission(**fields), TYPES, stages_max=10)


def refused(template=None, **fields):
    with pytest.raises(InvalidRequest) as refusal:
        planned(template, **fields)
    return [(fault.code, fault.pointer) for fault in refusal.value.faults]


def faults(pipeline=PIPELINE, schema=SCHEMA):
    return [
        (fault.code, fault.pointer)
        for fault in template_faults(TemplateSpec("t", pipeline, params_schema=schema), TYPES)
    ]


def test_params_and_defaults_take_their_places_and_keep_their_types():
    plan = planned(params={"pause": 0.5})
    assert (plan.name, plan.priority, plan.start, plan.uuid) == ("inner", 7, True, None)
    assert plan.stages[0].params == {"sleep_s": 0.5}
    assert plan.labels == {"team": "vision", "headway.template": "t", "headway.template-version": "3"}


def test_a_submission_may_say_otherwise():
    uuid = "0197d3a0-5c1e-7b52-9c40-3f6a8d21e0b7"
    plan = planned(params={"pause": 1, "id": uuid}, name="mine", priority=2, labels={"team": "nlp"}, start=False)
    assert (plan.name, plan.priority, plan.start, str(plan.uuid)) == ("mine", 2, False, uuid)
    assert plan.labels["team"] == "nlp"


def test_what_a_param_holds_is_not_looked_through_again():
    filled = fill({"a": {"from": "params.x"}, "b": "{params.x}"}, {"x": {"from": "params.y"}, "y": 1})
    assert filled.value == {"a": {"from": "params.y"}, "b": "{params.x}"}


def test_a_param_that_was_not_given_leaves_its_key_out_and_a_path_leads_inside():
    filled = fill({"a": {"from": "params.x.1.k"}, "b": [{"from": "params.z"}, 2]}, {"x": [0, {"k": 9}]})
    assert filled.value == {"a": 9, "b": [2]}
    assert filled.origins["/a"] == "/params/x/1/k"


def test_many_places_cannot_make_much_of_one_param():
    stages = [{"name": f"s{n}", "task": "noop", "params": {"sleep_s": {"from": "params.pause"}}} for n in range(1_000)]
    assert refused(a_template({"name": "p", "stages": stages}), params={"pause": 1, "id": "x" * 60_000}) == [
        ("too_many_stages", "")
    ]
    heavy = [{"name": f"s{n}", "task": "noop", "params": {"x": {"from": "params.id"}}} for n in range(20)]
    assert refused(a_template({"name": "p", "stages": heavy}), params={"pause": 1, "id": "x" * 60_000}) == [
        ("params_too_large", "/params")
    ]


def test_defaults_fill_in_objects_that_were_given_in_part():
    schema = {"properties": {"o": {"properties": {"a": {"default": 1}, "b": {"default": 2}}}, "p": {"default": 3}}}
    assert with_defaults({"o": {"a": 9}}, schema) == {"o": {"a": 9, "b": 2}, "p": 3}
    assert with_defaults({}, schema) == {"p": 3}


def test_every_fault_of_the_params_is_told_with_its_place():
    assert set(refused(params={"urgency": "high", "more": {"name": 5}, "puase": 1})) == {
        ("param_invalid", "/params/urgency"),
        ("param_invalid", "/params/more/name"),
        ("param_unknown", "/params/puase"),
        ("param_missing", "/params"),
    }


def test_what_a_task_has_against_a_param_points_to_the_param():
    assert refused(params={"pause": -1}) == [("param_invalid", "/params/pause")]
    assert refused(params={"pause": 1, "urgency": 11}) == [("invalid_value", "/params/urgency")]
    assert refused(params={"pause": 1, "id": "x"}) == [("param_invalid", "/params/id")]


def test_a_fault_of_the_template_itself_is_told_in_words():
    template = a_template({**PIPELINE, "stages": [{"name": "a", "task": "nop"}]})
    with pytest.raises(InvalidRequest, match=r"template t, version 3, at /stages/0/task: no worker runs.*'noop'"):
        planned(template, params={"pause": 1})


def test_a_template_is_checked_as_far_as_it_can_be_without_params():
    assert faults() == []
    wrong = {
        **PIPELINE,
        "colour": "red",
        "stages": [
            {"name": "a", "task": "nop", "params": {"x": {"from": "params.pause"}}},
            {
                "name": "b",
                "task": "noop",
                "params": {"sleep": 1, "sleep_s": {"from": "params.puase"}},
                "depends_on": ["c"],
            },
        ],
    }
    assert sorted(faults(wrong)) == [
        ("param_unknown", "/pipeline/stages/1/params/sleep"),
        ("param_unknown", "/pipeline/stages/1/params/sleep_s"),
        ("unknown_field", "/pipeline/colour"),
        ("unknown_stage", "/pipeline/stages/1/depends_on/0"),
        ("unknown_task", "/pipeline/stages/0/task"),
    ]


def test_params_go_into_a_pipeline_and_are_none():
    assert faults({"from": "params.more"}) == [("invalid_value", "/pipeline")]


@pytest.mark.parametrize("schema", [{"type": "objekt"}, {"type": "array"}, {"properties": {"a": {"pattern": "["}}}])
def test_what_is_no_schema_of_an_object_is_refused(schema):
    assert faults({"name": "p", "stages": [{"name": "a", "task": "noop"}]}, schema)[0][0] == "schema_invalid"


def test_the_built_in_training_is_the_old_run_training_pipeline():
    spec = TemplateSpec("training", TRAINING.pipeline, params_schema=TRAINING.params_schema)
    assert template_faults(spec, TYPES) == []
    plan = planned(TRAINING, params={"dataset": "builtin:digits"})
    assert [(stage.name, stage.task, stage.depends_on) for stage in plan.stages] == [
        ("preprocess", "preprocess_dataset", []),
        ("train", "train_model", ["preprocess"]),
        ("evaluate", "run_evaluation", ["preprocess", "train"]),
        ("cleanup", "cleanup_checkpoints", ["evaluate"]),
    ]
    own = planned(
        TRAINING,
        params={
            "job_uuid": "0197d3a0-5c1e-7b52-9c40-3f6a8d21e0b7",
            "dataset": "/data/a.csv",
            "training_config": {"epochs": 3, "learning_rate": 0.1},
            "eval_dataset": "/data/held-out",
            "keep_best_n": 1,
        },
    )
    train, evaluate, cleanup = (stage.params for stage in own.stages[1:])
    assert train == {"dataset": {"from": "stages.preprocess.result.dataset"}, "epochs": 3, "learning_rate": 0.1}
    assert (evaluate["dataset"], cleanup["keep_best_n"]) == ("/data/held-out", 1)
    for raw in ("builtin:digits", "/data/eval.csv", ""):  # told now, and not after the training
        params = {"dataset": "/a.csv", "eval_dataset": raw}
        with pytest.raises(InvalidRequest, match="a directory that preprocess_dataset made"):
            planned(TRAINING, params=params)
    assert refused(TRAINING, params={"dataset": "/a.csv", "training_config": {"epochs": 0, "lr": 1}}) == [
        ("param_invalid", "/params/training_config/epochs"),
        ("param_unknown", "/params/training_config/lr"),
    ]


def test_lint_sets_aside_what_does_not_fit_and_judges_the_rest():
    found, _ = lint({"name": "", "stages": [{"name": "a", "task": "noop", "params": {"x": 1}, "timeout": "1"}]}, TYPES)
    assert sorted(fault.pointer for fault in found) == ["/name", "/stages/0/params/x", "/stages/0/timeout"]


def test_the_template_that_the_documentation_shows_is_a_good_one():
    text = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text()
    spec = msgspec.convert(yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0]), TemplateSpec)
    assert template_faults(spec, TYPES) == []
    plan = planned(a_template(spec.pipeline, spec.params_schema), params={"dataset": "builtin:digits"})
    assert plan.stages[1].params["epochs"] == 5
