"""From evidence to a verdict: what counts more, what circumstances change, and what is never said."""

import json
import math
import signal
import time

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.core.diagnosis import LOG_BYTES, RULE_VERSION, Evidence, diagnose
from schemas.diagnosis import Category, Diagnosis, Facts, Outlook

BUDGET_S = 0.05
MEBIBYTE = 1024 * 1024


def failed(log: str = "", *, code: str = "exit_nonzero", exit_code: int | None = 1, **more) -> Diagnosis:
    return diagnose(Evidence(code=code, exit_code=exit_code, log=log, **more))


def traceback(text: str, *, rank: str = "", source: str = "step()", file: str = "/app/train.py") -> str:
    lines = ["Traceback (most recent call last):", f'  File "{file}", line 3, in work', f"    {source}", text]
    return "".join(f"{rank}{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("code", "category", "outlook"),
    [
        ("cancelled", Category.CANCELLED, Outlook.UNKNOWN),
        ("drained", Category.WORKER_SHUTDOWN, Outlook.FREE),
        ("stopped", Category.WORKER_SHUTDOWN, Outlook.SAME),
        ("preempted", Category.PREEMPTED, Outlook.FREE),
        ("lost_worker", Category.NODE_LOST, Outlook.FREE),
        ("queue_timeout", Category.CANNOT_START, Outlook.SAME),
        ("timed_out", Category.WALL_TIMEOUT, Outlook.CHANGED),
        ("param_invalid", Category.BAD_ARGUMENTS, Outlook.NEVER),
        ("worker_error", Category.ORCHESTRATOR_BUG, Outlook.SAME),
    ],
)
def test_what_headway_knows_itself_counts_first(code, category, outlook):
    log = traceback("ModuleNotFoundError: No module named 'x'")
    found = failed(log, code=code, exit_code=None, message="It says why.")
    assert (found.category, found.outlook) == (category, outlook)


def test_a_stage_that_loses_all_its_workers_is_not_said_to_go_on():
    found = diagnose(Evidence.of({"code": "lost_worker", "message": "…, 3 times in a row.", "losses": 3}))
    assert (found.category, found.outlook) == (Category.NODE_LOST, Outlook.UNKNOWN)


def test_a_fault_of_the_disk_is_no_bug_of_headway():
    found = failed(code="worker_error", message="OSError: [Errno 28] No space left on device")
    assert found.category == Category.DISK_FULL


def test_the_programs_own_word_counts_more_than_its_log():
    log = traceback("KeyError: 'x'")
    assert failed(log, code="task_error", message="MemoryError").category == Category.HOST_OOM_SOFT
    assert failed(log, message="torch.OutOfMemoryError: CUDA out of memory").category == Category.GPU_OOM


def test_its_word_with_a_traceback_is_read_as_one():
    first = traceback("FileNotFoundError: [Errno 2] No such file or directory: '/x'")
    link = "\nThe above exception was the direct cause of the following exception:\n\n"
    told = first + link + traceback("app.errors.LoadError: no labels")
    found = failed(code="task_error", message="LoadError: no labels", traceback=told)
    assert (found.category, found.root_line) == (Category.MISSING_FILE, first.splitlines()[-1])


def test_where_its_word_says_little_the_log_may_say_more():
    log = traceback("FileNotFoundError: [Errno 2] No such file or directory: '/x'", rank="[rank1]: ")
    assert failed(log, code="task_error", message="RuntimeError: rank 1 is gone").category == Category.MISSING_FILE


MISSING = "ModuleNotFoundError: No module named 'flash_attn'"


def test_what_need_not_have_been_the_end_does_not_rule_another_attempt_out():
    def seen(log: str, **more) -> tuple[Category, Outlook]:
        found = failed(log, **more)
        return found.category, found.outlook

    for end in ("", "\n", "hint: did you install it?\n", traceback("RuntimeError: NCCL communicator was aborted")):
        assert seen(traceback(MISSING) + end) == (Category.IMPORT_ERROR, Outlook.NEVER)
    assert seen(traceback(MISSING) + "the store has answered 503\n") == (Category.IMPORT_ERROR, Outlook.UNKNOWN)
    assert seen("sh: 1: nvidia-smi: not found\nbye\n", exit_code=127) == (Category.COMMAND_NOT_FOUND, Outlook.UNKNOWN)
    assert seen("cat: x: No such file or directory\nbye\n", exit_code=127)[1] is Outlook.UNKNOWN
    assert seen("sh: 1: nvidia-smi: not found\n", exit_code=1)[1] is Outlook.UNKNOWN
    assert seen("tar: unrecognized option '--x'\n", exit_code=None, signal=11)[1] is Outlook.UNKNOWN


def test_what_a_logger_printed_is_the_cause_only_at_the_end():
    log = "ERROR:root:no flash attention\n" + traceback(MISSING)
    assert failed(log).category == Category.IMPORT_ERROR
    assert failed(log + "INFO:root:closing\n").category == Category.IMPORT_ERROR
    assert failed(log + "the store has answered 503\n").category == Category.UNKNOWN
    assert failed(log, message="RuntimeError: the store has answered 503").category == Category.USER_EXCEPTION


def test_what_ends_the_log_proves_little_of_another_exception_that_the_program_tells_of():
    assert failed(traceback(MISSING), message="RuntimeError: gone").outlook is Outlook.UNKNOWN
    link = "\nThe above exception was the direct cause of the following exception:\n\n"
    same = traceback(MISSING) + link + traceback("RuntimeError: gone")
    assert failed(same, message="RuntimeError: gone").outlook is Outlook.NEVER


def test_what_other_ranks_print_proves_nothing_against_a_cause_but_their_exceptions_do():
    log = traceback(MISSING, rank="[rank0]: ")
    for end in ("[rank1]: waiting\n", traceback(MISSING, rank="[rank1]: ")):
        assert failed(log + end).outlook is Outlook.NEVER
    for end in ("[rank0]: waiting\n", traceback("ValueError: bad", rank="[rank1]: ")):
        assert failed(log + end).outlook is Outlook.UNKNOWN


def test_a_complaint_gives_way_to_an_exception_after_it_and_to_the_programs_word():
    complaint = "sh: 1: nvidia-smi: not found\n"
    assert failed(complaint + traceback("ValueError: bad")).root_line == "ValueError: bad"
    assert failed(complaint, message="ValueError: bad").root_line == "ValueError: bad"


def test_how_a_program_is_called_counts_only_where_it_ends_by_that():
    usage = "usage: train.py [-h]\n                [--lr LR]\n"
    for end in ("", "train.py: error: it is wrong\n", "\noptions:\n  -h  help\n"):
        assert failed(usage + end, exit_code=2).category == Category.BAD_ARGUMENTS
    for end in ("the service is not ready\n", "ERROR: the service is not ready\n", "waiting\n" * 20):
        assert failed(usage + end, exit_code=2).category == Category.UNKNOWN


def test_killed_for_memory_needs_the_kernels_word():
    killed = {"code": "killed_by_signal", "exit_code": None, "signal": int(signal.SIGKILL)}
    assert failed("Killed\n", **killed).category == Category.SIGKILL_UNCONFIRMED
    assert failed("Killed\n", **killed, facts=Facts(oom_kills=1)).category == Category.HOST_OOM_KILL
    assert failed("oom-kill: Memory cgroup out of memory: Killed process 7\n", **killed).category == (
        Category.HOST_OOM_KILL
    )
    assert failed("Killed\n").category == Category.UNKNOWN
    assert failed("", facts=Facts(oom_kills=1)).category == Category.UNKNOWN  # another process of the machine's


def test_advice_and_warnings_are_no_verdict():
    log = "hint: this might be CUDA out of memory\nWARNING: No space left on device\nUserWarning: Xid (PCI): 79\n"
    assert failed(log).category == Category.UNKNOWN
    assert failed("consider a smaller batch if you see: CUDA out of memory\n").category == Category.UNKNOWN


def test_the_first_rank_that_failed_is_the_cause_and_the_others_are_its_cascades():
    log = (
        traceback("RuntimeError: [gloo] Connection closed by peer", rank="[rank0]: ")
        + traceback("ValueError: bad batch", rank="[rank2]: ")
        + traceback("RuntimeError: NCCL communicator was aborted", rank="[rank1]: ")
    )
    found = failed(log)
    assert (found.category, found.root_line) == (Category.USER_EXCEPTION, "ValueError: bad batch")
    assert found.cascades == ["RuntimeError: NCCL communicator was aborted"]


def test_a_cascade_alone_is_what_it_is():
    found = failed(traceback("RuntimeError: NCCL watchdog timeout"))
    assert (found.category, found.domain, found.outlook) == (Category.COLLECTIVE_TIMEOUT, "unknown", Outlook.SAME)


def test_tracebacks_of_ranks_that_are_mixed_line_by_line_are_read_apart():
    one, other = traceback("ValueError: one", rank="[rank0]: "), traceback("MemoryError", rank="[rank1]: ")
    mixed = "".join(a + b for a, b in zip(one.splitlines(keepends=True), other.splitlines(keepends=True), strict=True))
    assert failed(mixed).root_line == "ValueError: one"


def test_what_a_program_got_over_is_not_what_it_ended_by():
    log = traceback("FileNotFoundError: [Errno 2] No such file or directory: '/x'") + "step 4 loss 0.2\n"
    assert failed(log).category == Category.UNKNOWN
    assert failed(log + traceback("ValueError: bad")).root_line == "ValueError: bad"


def test_of_exceptions_raised_from_each_other_the_first_is_the_cause():
    first = traceback("FileNotFoundError: [Errno 2] No such file or directory: '/x'")
    cause = "\nThe above exception was the direct cause of the following exception:\n\n"
    handling = "\nDuring handling of the above exception, another exception occurred:\n\n"
    told = traceback("RuntimeError: cannot load", source="raise RuntimeError('cannot load')")
    assert failed(first + cause + traceback("RuntimeError: cannot load")).category == Category.MISSING_FILE
    assert failed(first + handling + told).category == Category.MISSING_FILE
    assert failed(first + handling + traceback("ValueError: another")).category == Category.USER_EXCEPTION


def test_colours_bars_and_a_cut_off_head_are_no_hindrance():
    log = f"{'x' * 50}\n    step()\n\x1b[31mValueError\x1b[0m: bad\n"
    assert failed('  File "/app/a.py", line 3, in f\n' + log.partition("\n")[2]).root_line == "ValueError: bad"
    bar = "\r 40%|####      | 4/10 [00:01<00:02, 3.2it/s]"
    assert failed(bar * 30 + "\n" + traceback("ValueError: bad")).root_line == "ValueError: bad"


def test_only_the_end_of_a_log_is_looked_at():
    assert failed(traceback("ValueError: bad") + "x" * LOG_BYTES).category == Category.UNKNOWN


@pytest.mark.parametrize(
    ("facts", "category"),
    [
        ({"step": 3, "silent_s": 60, "spoke": True}, Category.HANG_NO_PROGRESS),
        ({"step": 3, "silent_s": 40, "spoke": True}, Category.WALL_TIMEOUT),
        ({"spoke": True}, Category.STARTUP_STALL),
        ({}, Category.WALL_TIMEOUT),
    ],
)
def test_a_timeout_is_a_hang_a_stall_or_too_much_work(facts, category):
    assert failed(code="timed_out", facts=Facts(ran_s=100, **facts)).category == category


def test_what_was_nearly_done_is_told_so():
    found = failed(code="timed_out", facts=Facts(ran_s=100, step=61, progress=0.61, silent_s=1, spoke=True))
    assert (found.outlook, "61%" in found.remedy) == (Outlook.SAME, True)


def test_losses_that_are_no_numbers_are_the_cause_where_nothing_better_is_known():
    facts = Facts(losses=[1.0, None])
    assert failed(traceback("AssertionError"), facts=facts).category == Category.NAN_LOSS
    assert failed(facts=facts).category == Category.NAN_LOSS
    assert failed(traceback("OSError: [Errno 28] No space left on device"), facts=facts).category == Category.DISK_FULL
    assert failed(facts=Facts(losses=[None, 1.0])).category == Category.UNKNOWN


def test_a_missing_key_is_a_setting_where_the_code_says_so():
    setting = failed(traceback("KeyError: 'rate'", source="rate = config['rate']"))
    assert (setting.category, setting.outlook) == (Category.BAD_ARGUMENTS, Outlook.CHANGED)
    assert "'rate'" in setting.remedy
    assert failed(traceback("KeyError: 'x'", source="batch['x']")).category == Category.USER_EXCEPTION


def test_the_outlook_of_an_exception_is_better_once_there_was_progress():
    log = traceback("TypeError: f() got an unexpected keyword argument 'x'")
    assert failed(log).outlook is Outlook.NEVER
    assert failed(log, facts=Facts(step=1000, spoke=True)).outlook is Outlook.SAME
    assert failed(traceback("ValueError: bad")).outlook is Outlook.UNKNOWN


def test_a_program_that_is_named_by_a_path_may_come_to_be_there():
    def outlook(program: str) -> Outlook:
        message = f"The process could not be started: No such file or directory: {program}"
        return failed(code="spawn_failed", message=message).outlook

    assert (outlook("torchrun"), outlook("/mnt/nfs/train.sh")) == (Outlook.NEVER, Outlook.CHANGED)
    assert failed("sh: 1: torchrun: not found\n", exit_code=127).outlook is Outlook.NEVER
    assert failed("bash: line 1: ./train.sh: No such file or directory\n", exit_code=127).outlook is Outlook.CHANGED


def test_a_program_that_says_that_no_attempt_will_do_is_believed():
    assert failed(code="task_error", message="bad", facts=Facts(final=True)).outlook is Outlook.NEVER


def test_the_frame_is_the_users_deepest():
    inner = '  File "/x/site-packages/lib.py", line 9, in inner\n    boom()\n'
    log = traceback(inner.rstrip("\n") + "\nValueError: bad")
    assert failed(log).remedy == "Look at train.py:work, where it was raised."


def test_remedies_name_what_is_missing():
    assert "flash_attn" in failed(traceback("ModuleNotFoundError: No module named 'flash_attn'")).remedy
    assert "2.00 GiB" in failed(traceback("RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB")).remedy
    assert "{" not in failed(traceback("FileNotFoundError: gone")).remedy


def test_secrets_and_control_characters_do_not_get_through():
    secret = "hunter2hunter2"
    for text in (
        f"cannot connect to postgres://me:{secret}@db/x",
        f"password={secret} is wrong",
        f'{{"api_key": "{secret}"}}',
        f"Authorization: Bearer {secret}",
        f"token '{secret}' has expired (token: {secret})",
        f"hf_{secret} may not",
    ):
        found = failed(traceback(f"ValueError: {text}\x07\x1b[2J\u202e"))
        kept = msgspec.json.encode(found).decode()
        assert f"{secret}" not in kept.replace(f"token '{secret}' has", "")
        assert not any(mark in kept for mark in ("\\u0007", "\\u001b", "\u202e"))


def test_lines_are_cut():
    found = failed(traceback("ValueError: " + "x" * 5_000))
    assert len(found.root_line) == 300


def test_a_kind_of_failure_has_one_fingerprint_whatever_its_numbers():
    def of(text: str, **more: str) -> str:
        return failed(traceback(text, **more)).fingerprint

    assert of("ValueError: batch 3 of /data/a is bad at 0x7f") == of("ValueError: batch 99 of /mnt/b is bad at 0x8a")
    assert of("ValueError: bad") == of("ValueError: bad", rank="[rank3]: ")
    assert of("ValueError: bad") != of("ValueError: worse")
    assert of("ValueError: bad") != of("ValueError: bad", file="/app/other.py")


def test_a_result_that_does_not_do_is_not_blamed_on_a_line_that_raised():
    found = failed(code="result_invalid", message="The result has 330,046 bytes; at most 262,144 are stored.")
    assert found.root_line == "The result has 330,046 bytes; at most 262,144 are stored."
    assert "at most 256 KiB" in found.remedy


def test_the_version_of_the_rules_is_told():
    assert failed().rule_version == RULE_VERSION


LOGS = {
    "plain": "2026-11-24 INFO batch 17 loss=0.31 lr=0.003\n",
    "bar": "\r 40%|####      | 4/10 [00:01<00:02, 3.2it/s, loss=0.3]",
    "tracebacks": traceback("ValueError: bad"),
    "ranks": "".join(traceback("ValueError: bad", rank=f"[rank{n}]: ") for n in range(8)),
    "frames without an end": '  File "/app/train.py", line 3, in f\n    g()\n',
    "words": "out of memory oom xid nccl gloo watchdog shared signal (exitcode: bus error memory allocation of ",
    "one long line": "a.",
    "spaces": " ",
    "newlines": "\n",
    "colours": "\x1b[31mred\x1b[0m ",
    "escapes": "\x1b[",
    "boxes": "\u2502 x \u2570\u2500\n",
    "near misses": "checkpoint " * 20 + "NVLink " * 20 + "unable to open " * 20,
}


@pytest.mark.parametrize("piece", LOGS.values(), ids=LOGS.keys())
def test_a_log_of_a_mebibyte_takes_no_time(piece):
    log = (piece * (MEBIBYTE // len(piece) + 1))[-MEBIBYTE:]
    assert min(map(timed, [log] * 15)) <= BUDGET_S


def timed(log: str) -> float:
    began = time.process_time()
    failed(log)
    return time.process_time() - began


PIECES = st.sampled_from([*LOGS.values(), "MemoryError\n", "KeyError: 'x'\n", "\0", "\ud800", "{x}", "usage: x\n", "İ"])


@given(
    st.lists(st.one_of(PIECES, st.text(max_size=40)), max_size=20).map("".join),
    st.text(max_size=60),
    st.sampled_from(["exit_nonzero", "task_error", "timed_out", "spawn_failed", "worker_error", ""]),
    st.one_of(st.none(), st.integers(-300, 300)),
    st.builds(Facts, step=st.one_of(st.none(), st.floats(0, 9)), silent_s=st.one_of(st.none(), st.floats(0, 9))),
)
@example('  File "x", line 1, in f\nA', "", "exit_nonzero", None, Facts(losses=[None]))
def test_whatever_the_evidence_there_is_a_diagnosis_that_can_be_stored(log, message, code, number, facts):
    evidence = Evidence(code=code, message=message, exit_code=number, signal=number, log=log, facts=facts)
    found = diagnose(evidence)
    stored = json.loads(msgspec.json.encode(found))
    assert "\0" not in json.dumps(stored, ensure_ascii=False)
    assert len(found.root_line or "") <= 300
    assert found == diagnose(evidence)
    assert math.isfinite(found.rule_version)
    assert msgspec.convert(stored, Diagnosis) == found
