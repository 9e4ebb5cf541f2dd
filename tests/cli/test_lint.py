"""``headway lint``: what is wrong with a file, and where, without a server."""

import json
from pathlib import Path

import pytest

from tests.cli.programs import ROOT, headway

NOBODY = "http://127.0.0.1:9"

SHAPELESS = """\
name: digits
colour: red
stages:
  - name: a
    task: noop
    depnds_on: [b]
  - name: Not A Name
    task: noop
    task: run_command
"""
WRONG = """\
name: digits
stages:
  - {name: a, task: noop, depends_on: [b], params: {sleep: 1}}
  - {name: b, task: their_own, depends_on: [a], params: {x: {from: stages.zz.result.y}}}
"""


def lint(cwd: Path, text: str, *options: str) -> tuple[int, list[str], str]:
    (cwd / "p.yaml").write_text(text)
    done = headway("lint", "p.yaml", *options, cwd=cwd)
    places = [": ".join(line.split(": ")[:2]) for line in done.stdout.splitlines()]
    return done.returncode, places, done.stdout


def test_every_misfit_of_the_shape_is_told_with_line_and_column(tmp_path: Path):
    code, places, said = lint(tmp_path, SHAPELESS, "--offline")
    assert code == 1
    assert places == [
        "p.yaml:2:1: /colour",
        "p.yaml:6:5: /stages/0/depnds_on",
        "p.yaml:7:5: /stages/1/name",
        "p.yaml:7:5: /stages/1",
        "p.yaml:9:5: /",
    ]
    assert "'task' stands twice" in said


def test_cycles_unknown_stages_and_bad_params_are_told_with_their_places(tmp_path: Path):
    code, _, said = lint(tmp_path, WRONG, "--offline")
    assert code == 1
    assert "p.yaml:3:53: /stages/0/params/sleep: noop has no param 'sleep'; did you mean 'sleep_s'?" in said
    assert "p.yaml:3:40: /stages/0/depends_on/0: these stages wait for each other: a → b → a" in said
    assert "p.yaml:4:58: /stages/1/params/x: no stage is named 'zz'" in said


def test_as_json_it_names_the_tasks_that_it_does_not_know(tmp_path: Path):
    (tmp_path / "p.yaml").write_text(WRONG)
    verdict = json.loads(headway("lint", "p.yaml", "--offline", "-o", "json", cwd=tmp_path).stdout)
    assert (verdict["valid"], verdict["checked_by"], verdict["unknown_tasks"]) == (False, "offline", ["their_own"])
    assert {"code": "cycle", "line": 3, "column": 40, "pointer": "/stages/0/depends_on/0"}.items() <= next(
        error for error in verdict["errors"] if error["code"] == "cycle"
    ).items()


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_are_valid(tmp_path: Path, example: Path):
    done = headway("lint", str(example), "--offline", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "valid" in done.stdout


def test_where_no_server_answers_it_is_checked_offline_unless_one_was_asked_for(tmp_path: Path):
    (tmp_path / "p.json").write_text('{"name": "p", "stages": [{"name": "a", "task": "noop"}]}')
    done = headway("lint", "p.json", cwd=tmp_path, HEADWAY_URL=NOBODY)
    assert (done.returncode, "Checked offline" in done.stderr) == (0, True)
    assert headway("lint", "p.json", "--server", cwd=tmp_path, HEADWAY_URL=NOBODY).returncode == 6


def test_params_are_set_from_the_command_line_before_the_check(tmp_path: Path):
    example = str(ROOT / "examples" / "training.yaml")
    for option, said in {
        "train.epochs=0": "less than the minimum",
        "trian.epochs=1": "did you mean 'train'?",
        "epochs=1": "write stage.param=value",
        "train.epochs": "not written key=value",
    }.items():
        done = headway("lint", example, "-p", option, "--offline", cwd=tmp_path)
        assert done.returncode in {1, 2}
        assert said in done.stdout + done.stderr
    assert headway("lint", example, "-p", "train.epochs=3", "--offline", cwd=tmp_path).returncode == 0


def test_a_file_that_cannot_be_read_is_exit_code_2(tmp_path: Path):
    (tmp_path / "p.yaml").write_text("name: [\n")
    assert headway("lint", "p.yaml", "--offline", cwd=tmp_path).returncode == 2
    assert headway("lint", "missing.yaml", "--offline", cwd=tmp_path).returncode == 2


FIVE = """\
name: digits
priority: 11
stages:
  - name: prepare
    task: preprocess_dataset
    params: {dataset: "builtin:digits", sead: 1}
    timeout: soon
  - name: train
    task: train_modle
    depends_on: [prepair]
"""
FIVE_PLACES = [
    "2:1: /priority",
    "6:41: /stages/0/params/sead",
    "7:5: /stages/0/timeout",
    "9:5: /stages/1/task",
    "10:18: /stages/1/depends_on/0",
]


def test_mistakes_of_the_shape_do_not_hide_the_others(tmp_path: Path):
    code, places, said = lint(tmp_path, FIVE, "--offline")
    # Offline it cannot be known that nobody runs train_modle.
    assert (code, places) == (1, [f"p.yaml:{place}" for place in FIVE_PLACES if "task" not in place])
    assert "did you mean 'seed'?" in said


def test_what_does_not_fit_is_no_reason_to_complain_of_what_it_would_have_held(tmp_path: Path):
    text = "name: p\nstages:\n  - {name: t, task: train_model, params: 5}\n  - nothing\n  - {name: u, params: {x: 1}}\n"
    assert lint(tmp_path, text, "--offline")[1] == [
        "p.yaml:3:34: /stages/0/params",
        "p.yaml:4:5: /stages/1",
        "p.yaml:5:5: /stages/2/task",
    ]
    assert lint(tmp_path, "name: p\nstages: []\ncolour: red\n", "--offline")[1] == [
        "p.yaml:2:1: /stages",
        "p.yaml:3:1: /colour",
    ]
    assert lint(tmp_path, "colour: red\n", "--offline")[1] == [
        "p.yaml:1:1: /colour",
        "p.yaml:1:1: /name",
        "p.yaml:1:1: /stages",
    ]
