"""The run contract from the worker's side: what a stage is given, and what is believed of what it leaves."""

import json
import math
import os
import stat
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from app.errors import SetupError
from app.settings import Settings
from schemas import limits
from schemas.stage import Claim
from schemas.states import Outcome
from workers import contract
from workers.contract import EventTail
from workers.contract.environment import permitted
from workers.executors.base import Exit

PIPELINE = UUID("11111111-1111-4111-8111-111111111111")
CREDENTIALS = {
    "HEADWAY_DATABASE_URL": "postgresql://u:hunter2@db/headway",
    "HEADWAY_REDIS_URL": "redis://:hunter2@redis",
    "HEADWAY_API_TOKEN": "hunter2",
    "PGPASSWORD": "hunter2",
    "PGPASSFILE": "/hunter2",
    "REDIS_URL": "redis://:hunter2@redis",
    "DATABASE_URL": "postgresql://u:hunter2@db/headway",
}


def claim(**fields: object) -> Claim:
    """Make a claim of the stage ``train``, attempt 2."""
    known = {
        "stage": UUID(int=1),
        "attempt": 2,
        "lease_token": UUID(int=2),
        "pipeline": PIPELINE,
        "pipeline_name": "nightly",
        "name": "train",
        "task": "train_model",
        "params": {},
        "references": {},
        "max_retries": 0,
        "failures": 0,
        "retry_delay_s": 1.0,
        "timeout_s": 60.0,
        "started_at": 1_800_000_000.25,
    }
    return Claim(**known | fields)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(data_dir=tmp_path / "data", cancel_grace_s=7)


@pytest.fixture
def run(settings) -> contract.Run:
    return contract.prepare(settings, claim(), {"epochs": 3})


# What a stage is given


def test_an_attempt_has_a_directory_of_its_own_that_nobody_else_can_enter(settings, run):
    assert run.directory == settings.data_dir / "artifacts" / str(PIPELINE) / "train" / "2"
    assert json.loads(run.params.read_bytes()) == {"epochs": 3}
    assert run.checkpoints.is_dir()
    assert stat.S_IMODE((settings.data_dir / "artifacts").stat().st_mode) == 0o700


def test_a_relative_data_directory_still_gives_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = contract.prepare(Settings(data_dir=Path(".headway")), claim(), {})
    assert run.directory == tmp_path / ".headway" / "artifacts" / str(PIPELINE) / "train" / "2"


def test_the_environment_leads_to_everything_of_the_attempt(run):
    named = {name: value for name, value in run.env.items() if name.startswith(("HEADWAY_", "TORCHELASTIC_"))}
    assert named == {
        "HEADWAY_PIPELINE": str(PIPELINE),
        "HEADWAY_PIPELINE_NAME": "nightly",
        "HEADWAY_STAGE": "train",
        "HEADWAY_TASK_ID": str(UUID(int=1)),
        "HEADWAY_ATTEMPT": "2",
        "HEADWAY_RUN_DIR": str(run.directory),
        "HEADWAY_PARAMS": str(run.params),
        "HEADWAY_EVENTS": str(run.events),
        "HEADWAY_CHECKPOINT_DIR": str(run.checkpoints),
        "HEADWAY_RESUME_FROM": "",
        "HEADWAY_DEADLINE": "1800000060.250",
        "HEADWAY_GRACE_S": "7",
        "TORCHELASTIC_ERROR_FILE": str(run.error_file),
    }


def test_a_later_attempt_is_told_where_to_resume(settings):
    run = contract.prepare(settings, claim(resume_from="/checkpoints/step-7"), {})
    assert run.env["HEADWAY_RESUME_FROM"] == "/checkpoints/step-7"


def test_reports_that_an_attempt_of_the_same_number_left_are_not_believed(settings, run):
    run.events.write_text('{"type": "result", "values": {"stale": true}}\n')
    run.error_file.write_text("stale")
    again = contract.prepare(settings, claim(), {})
    assert EventTail(again.events).read() == []
    assert contract.read_error_file(again.error_file) is None


@pytest.mark.parametrize("name", ["../../etc", "a/b", "", ".", "train\n"])
def test_no_name_leads_out_of_the_artifacts(settings, name):
    with pytest.raises(ValueError, match="name of a stage"):
        contract.prepare(settings, claim(name=name), {})


def test_a_stage_sees_what_the_machine_offers(settings, monkeypatch):
    offered = {
        "PATH": "/bin",
        "LC_ALL": "C.UTF-8",
        "CUDA_VISIBLE_DEVICES": "1",
        "HF_HOME": "/hf",
        "OMP_NUM_THREADS": "2",
    }
    for name, value in offered.items():
        monkeypatch.setenv(name, value)
    assert offered.items() <= contract.prepare(settings, claim(), {}).env.items()


def test_an_import_path_that_is_relative_to_the_worker_is_so_no_longer(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"tasks{os.pathsep}/opt/lib{os.pathsep}")
    path = contract.prepare(settings, claim(), {}).env["PYTHONPATH"]
    assert path.split(os.pathsep) == [f"{tmp_path}/tasks", "/opt/lib", str(tmp_path)]


def test_a_stage_never_sees_a_credential(settings, monkeypatch):
    for name, value in (CREDENTIALS | {"AWS_SECRET_ACCESS_KEY": "hunter2"}).items():
        monkeypatch.setenv(name, value)
    assert "hunter2" not in str(contract.prepare(settings, claim(), {}).env)


def test_an_operator_may_name_more_variables(settings, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "key")
    run = contract.prepare(settings.model_copy(update={"stage_env": "WANDB_API_KEY, UNSET"}), claim(), {})
    assert run.env["WANDB_API_KEY"] == "key"
    assert "UNSET" not in run.env


@pytest.mark.parametrize("name", [*CREDENTIALS, "pgpassword", "REDISCLI_AUTH", "HEADWAY_DATA_DIR"])
def test_an_operator_cannot_name_a_credential(name):
    with pytest.raises(SetupError, match=name):
        contract.stage_env_names(f"WANDB_API_KEY,{name}")


def test_a_credential_is_held_back_even_if_it_was_named():
    assert permitted(CREDENTIALS | {"A": "a"}, frozenset(CREDENTIALS) | {"A"}) == {"A": "a"}


# What a stage reports


@pytest.fixture
def tail(tmp_path) -> EventTail:
    return EventTail(tmp_path / "events.jsonl")


def write(tail: EventTail, text: str | bytes) -> None:
    with tail.path.open("ab") as events:
        events.write(text if isinstance(text, bytes) else text.encode())


def test_events_are_read_as_they_come(tail):
    assert tail.read() == []
    write(tail, '{"n": 1}\n{"n": 2}\n')
    assert tail.read() == [{"n": 1}, {"n": 2}]
    assert tail.read() == []
    write(tail, '{"n": 3}\n')
    assert tail.read() == [{"n": 3}]


def test_a_line_that_is_still_being_written_waits_for_its_end(tail):
    line = '{"name": "Zoë"}\n'.encode()
    for byte in line[:-1]:
        write(tail, bytes([byte]))
        assert tail.read() == []
    write(tail, line[-1:])
    assert tail.read() == [{"name": "Zoë"}]


def test_the_last_line_may_lack_its_end(tail):
    write(tail, '{"n": 1}\n{"n": 2}')
    assert tail.read(last=True) == [{"n": 1}, {"n": 2}]
    assert tail.read(last=True) == []


def test_a_torn_last_line_is_left_out(tail):
    write(tail, '{"n": 1}\n{"n": ')
    assert tail.read(last=True) == [{"n": 1}]
    assert tail.garbage == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"no json",
        b"[1]",
        b"1",
        b"null",
        b'{"a": 1',
        b"\xff\xfe",
        b'{"\0": 1}',
        b"[" * 100_000,
        b"9" * 5_000,
        b"\xef\xbb\xbf{}",
    ],
)
def test_garbage_is_counted_and_left_out(tail, garbage):
    write(tail, b'{"n": 1}\n' + garbage + b'\n\n{"n": 2}\r\n')
    assert tail.read() == [{"n": 1}, {"n": 2}]
    assert tail.garbage == 1


def test_numbers_that_json_does_not_know_are_read(tail):
    write(tail, '{"values": {"loss": NaN, "norm": Infinity, "least": -Infinity}}\n')
    values = tail.read()[0]["values"]
    assert math.isnan(values.pop("loss"))
    assert values == {"norm": math.inf, "least": -math.inf}


@pytest.mark.parametrize("size", [1_100_000, 2_097_152, 3_500_000])
def test_a_line_that_is_too_long_is_left_out(tail, size):
    write(tail, b'{"n": 1}\n{"x": "' + b"x" * size + b'"}\n{"n": 2}\n{"n": 3}')
    read = []
    while not read or not tail.at_end:
        read += tail.read()
        assert len(tail._rest) <= contract.reports.LINE_BYTES_MAX
    assert read + tail.read(last=True) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert (tail.too_long, tail.garbage) == (1, 0)


def test_the_longest_result_that_may_be_stored_is_read_even_in_ascii(tail):
    result = {"text": "é" * ((limits.RESULT_BYTES_MAX - 11) // 2)}
    assert contract.check_result(result) is None
    write(tail, json.dumps({"type": "result", "values": result}) + "\n")
    read = []
    while not read or not tail.at_end:
        read += tail.read()
    assert read == [{"type": "result", "values": result}]


def test_a_huge_file_is_read_in_small_steps(tail):
    write(tail, b'{"type": "metrics", "step": 1}\n' * 200_000)
    counts = []
    while not counts or not tail.at_end:
        counts.append(len(tail.read(last=True)))
    assert sum(counts) == 200_000
    assert max(counts) < 40_000


def test_what_only_looks_like_a_file_is_not_read(tail, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text('{"secret": true}\n')
    tail.path.symlink_to(secret)
    assert tail.read() == []
    tail.path.unlink()
    os.mkfifo(tail.path)
    assert tail.read() == []
    tail.path.unlink()
    tail.path.mkdir()
    assert tail.read() == []
    assert tail.at_end


def test_a_file_that_was_replaced_or_emptied_is_read_from_its_start(tail, tmp_path):
    write(tail, '{"n": 1}\n{"n": ')
    assert tail.read() == [{"n": 1}]
    fresh = tmp_path / "fresh"
    fresh.write_text('{"n": 2, "padding": "............"}\n')
    fresh.rename(tail.path)
    assert [event["n"] for event in tail.read()] == [2]
    tail.path.write_text('{"n": 3}\n')
    assert tail.read() == [{"n": 3}]


@pytest.mark.parametrize(
    ("left", "read"),
    [
        (
            {"message": {"message": "ValueError: no", "extraInfo": {"py_callstack": "Traceback …", "timestamp": "1"}}},
            {"message": "ValueError: no", "traceback": "Traceback …"},
        ),
        ({"message": "plain"}, {"message": "plain"}),
        ({"message": {"message": "old", "extraInfo": None}}, {"message": "old"}),
        ({"message": {"message": "a\0b\ud800"}}, {"message": "a\ufffdb?"}),
        ({"other": 1}, {"message": '{"other": 1}'}),
    ],
)
def test_an_error_file_is_read_in_all_its_forms(run, left, read):
    run.error_file.write_text(json.dumps(left))
    assert contract.read_error_file(run.error_file) == read


def test_an_error_file_may_be_mere_text_or_missing_or_huge(run):
    assert contract.read_error_file(run.error_file) is None
    run.error_file.write_bytes(b"\xff boom")
    assert contract.read_error_file(run.error_file) == {"message": "\ufffd boom"}
    run.error_file.write_text(json.dumps({"message": "x" * 1_000_000}))
    assert contract.read_error_file(run.error_file) == {"message": '{"message": "' + "x" * 3_987}
    run.error_file.unlink()
    run.error_file.symlink_to("/etc/passwd")
    assert contract.read_error_file(run.error_file) is None


def test_the_end_of_a_log_is_text_that_postgres_can_store(run):
    run.log.write_bytes(b"beginning " + "ä".encode() + b"\0\xff end")
    assert contract.tail_log(run.log, 7) == "\ufffd\ufffd\ufffd end"
    assert contract.tail_log(run.directory / "no.log", 7) == ""


# What it amounts to


COMPLETED = Exit(exit_code=0)


def test_exit_code_0_completes_with_the_result(run):
    line = {"type": "result", "values": {"accuracy": 0.97, "model": "/m"}}
    ending = contract.conclude(run, COMPLETED, line, None)
    assert (ending.outcome, ending.result, ending.error) == (Outcome.COMPLETED, {"accuracy": 0.97, "model": "/m"}, None)


def test_exit_code_0_completes_without_a_result_too(run):
    assert contract.conclude(run, COMPLETED, None, None).result == {}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([1], "not a JSON object"),
        (None, "not a JSON object"),
        ({"a": ["x\0y"]}, "NUL"),
        ({"a\0b": 1}, "NUL"),
        ({"a": "\ud800"}, "surrogates"),
        ({"\udfff": 1}, "surrogates"),
        ({"a": {"b": math.nan}}, "number nan"),
        ({"a": [-math.inf]}, "number -inf"),
        ({"a": "x" * limits.RESULT_BYTES_MAX}, "262,152 bytes"),
        (json.loads('{"a":' * 32 + "1" + "}" * 32), "deeper than 32"),
    ],
)
def test_a_result_that_cannot_be_stored_fails_for_good(run, values, why):
    ending = contract.conclude(run, COMPLETED, {"type": "result", "values": values}, None)
    assert (ending.outcome, ending.result, ending.retryable) == (Outcome.FAILED, None, False)
    assert ending.error["code"] == "result_invalid"
    assert why in ending.error["message"]


@pytest.mark.parametrize(
    "values", [{"text": "\\u0000"}, {"n": 2**70, "x": 1e308}, json.loads('{"a":' * 31 + "1" + "}" * 31)]
)
def test_a_result_that_can_be_stored_is_not_refused(run, values):
    assert contract.conclude(run, COMPLETED, {"values": values}, None).result == values


def test_a_result_that_may_have_been_too_long_to_read_is_not_taken_for_none(run):
    ending = contract.conclude(run, COMPLETED, None, None, lines_too_long=1)
    assert (ending.outcome, ending.error["code"]) == (Outcome.FAILED, "result_invalid")


@pytest.mark.parametrize("values", ["[" * 100_000, '{"n": ' + "1" * 5_000 + "}", '{"n": }'])
def test_a_result_that_cannot_be_read_is_not_taken_for_none(tail, run, values):
    write(tail, '{"type": "result", "values": {}}\n{"type": "result", "values": ' + values + "}\n")
    ending = contract.conclude(run, COMPLETED, tail.read()[-1], None)
    assert (ending.outcome, ending.error["code"], ending.retryable) == (Outcome.FAILED, "result_invalid", False)
    assert "cannot" in ending.error["message"] or "not JSON" in ending.error["message"]


def test_other_lines_that_cannot_be_read_are_left_out(tail):
    write(tail, '{"type": "progress", "step": ' + "1" * 5_000 + '}\nthe "result" is fine\n')
    assert (tail.read(), tail.garbage) == ([], 2)


def test_exit_code_85_means_stopped_on_request(run):
    ending = contract.conclude(run, Exit(exit_code=contract.EXIT_RESUMABLE), None, None)
    assert (ending.outcome, ending.error["code"], ending.retryable) == (Outcome.CANCELLED, "stopped", True)


def test_a_failure_is_told_by_the_exit_code_and_the_end_of_the_log(run):
    run.log.write_text("x" * 10_000 + "\nValueError: no\n")
    error = contract.conclude(run, Exit(exit_code=3), {"values": {}}, None).error
    assert (error["code"], error["exit_code"]) == ("exit_nonzero", 3)
    assert error["log_tail"].endswith("\nValueError: no\n")
    assert len(error["log_tail"]) == 4_096
    assert "signal" not in error


@pytest.mark.parametrize("exit_", [Exit(signal=9), Exit(exit_code=137)])
def test_a_kill_from_outside_is_not_called_a_lack_of_memory(run, exit_):
    ending = contract.conclude(run, replace(exit_, max_rss_bytes=5 * 2**20), None, None)
    assert (ending.error["code"], ending.error["signal"], ending.retryable) == ("killed_by_signal", 9, True)
    assert ending.error["message"] == (
        "Killed from outside by SIGKILL; there is no record of an out-of-memory kill, and its peak was 5 MiB."
    )


@pytest.mark.parametrize(("exit_", "number"), [(Exit(signal=11), 11), (Exit(exit_code=134), 6), (Exit(signal=64), 64)])
def test_another_signal_is_named(run, exit_, number):
    error = contract.conclude(run, exit_, None, None).error
    assert (error["code"], error["signal"]) == ("killed_by_signal", number)
    assert f"(signal {number})" in error["message"]


@pytest.mark.parametrize("code", [1, 2, 127, 128, 200, 255])
def test_other_exit_codes_are_no_signals(run, code):
    assert contract.conclude(run, Exit(exit_code=code), None, None).error["code"] == "exit_nonzero"


def test_a_program_may_tell_its_traceback_and_that_its_result_is_at_fault_and_no_other_code(run):
    def told(**said: object) -> dict[str, object]:
        return contract.conclude(run, Exit(exit_code=1), None, {"type": "error", "message": "m"} | said).error

    assert told(traceback="Trace\0back")["traceback"] == "Trace\ufffdback"
    assert told(code="result_invalid")["code"] == "result_invalid"
    assert told(code="lost_worker")["code"] == "task_error"
    assert "traceback" not in told(traceback="")


def test_the_executors_explanation_is_passed_on(run):
    error = contract.conclude(run, Exit(signal=9, explanation="The supervisor ended."), None, None).error
    assert error["message"] == "The supervisor ended."


def test_what_never_started_says_why(run):
    error = contract.conclude(run, Exit(spawn_error="No such file or directory: nosuch"), None, None).error
    assert error == {
        "code": "spawn_failed",
        "message": "The process could not be started: No such file or directory: nosuch",
    }


@pytest.mark.parametrize("exit_", [Exit(exit_code=1), Exit(signal=9), COMPLETED])
@pytest.mark.parametrize(
    ("said", "retryable"), [({}, True), ({"retryable": True}, True), ({"retryable": False}, False)]
)
def test_the_programs_own_word_comes_first(run, exit_, said, retryable):
    run.error_file.write_text('{"message": "less"}')
    ending = contract.conclude(run, exit_, None, {"type": "error", "message": "no\0 data"} | said)
    assert (ending.outcome, ending.retryable) == (Outcome.FAILED, retryable)
    assert (ending.error["code"], ending.error["message"]) == ("task_error", "no\ufffd data")


def test_an_error_that_was_overcome_does_not_spoil_the_result(run):
    line = {"type": "result", "values": {"a": 1}}
    assert contract.conclude(run, COMPLETED, line, {"message": "once"}).result == {"a": 1}


def test_an_error_file_says_more_than_an_exit_code(run):
    run.error_file.write_text('{"message": {"message": "ValueError: no", "extraInfo": {"py_callstack": "Traceback"}}}')
    error = contract.conclude(run, Exit(exit_code=1), None, None).error
    assert (error["code"], error["message"], error["traceback"]) == ("exit_nonzero", "ValueError: no", "Traceback")


@pytest.mark.parametrize("message", [None, 5, {"a": 1}, "", "\ud800", "x" * 1_000_000])
def test_every_error_can_be_stored(run, message):
    run.log.write_bytes(bytes(range(256)) * 100)
    ending = contract.conclude(run, Exit(exit_code=1), None, {"message": message})
    stored = msgspec.json.encode(ending.error)
    assert b"\\u0000" not in stored
    assert len(stored) < 64_000
    assert ending.error["message"]
