"""What the evidence says, the strongest first."""

import math
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.core.diagnosis.evidence import Evidence
from app.core.diagnosis.finding import Finding
from app.core.diagnosis.findings import DECISIVE, Findings
from app.core.diagnosis.reading import of_word
from app.core.diagnosis.text import shown
from schemas import limits
from schemas.diagnosis import Category, Facts, Outlook

HANGS_FROM = 0.5
"""A share of an attempt's time: silent for so long, it hung."""
OWN_FACTS = {
    "cancelled": Category.CANCELLED,
    "drained": Category.WORKER_SHUTDOWN,
    "stopped": Category.WORKER_SHUTDOWN,
    "preempted": Category.PREEMPTED,
    "lost_worker": Category.NODE_LOST,
    "queue_timeout": Category.CANNOT_START,
    "task_unknown": Category.CANNOT_START,
    "param_invalid": Category.BAD_ARGUMENTS,
    "result_invalid": Category.USER_EXCEPTION,
}
TOLD = frozenset({"param_invalid", "result_invalid"})
"""Of these Headway's own sentence says more than the fact."""
_RESULT_INVALID = (
    f"Return what the task declares, in at most {limits.RESULT_BYTES_MAX // 1024} KiB: paths of what is large."
)
FREE = frozenset({"drained", "lost_worker", "preempted"})
FATAL = DECISIVE | {Category.GPU_OOM, Category.CUDA_RUNTIME, Category.DISK_FULL, Category.SHM_EXHAUSTED}
"""What explains that others ended a program, or waited for it in vain; of other bad news it may have got over."""
TIMEOUTS = frozenset({"timed_out", "total_timeout"})
_SIGNALS = {
    signal.SIGKILL: Category.SIGKILL_UNCONFIRMED,
    signal.SIGBUS: Category.SHM_EXHAUSTED,
    signal.SIGXFSZ: Category.DISK_FULL,
    signal.SIGXCPU: Category.WALL_TIMEOUT,
    **dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), Category.WORKER_SHUTDOWN),
    **dict.fromkeys(
        (signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGSYS, signal.SIGTRAP),
        Category.NATIVE_CRASH,
    ),
}
_FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_QUARANTINED = (
    "It has lost its workers again and again: look at their machines whether it is this stage that kills them."
)
_SPAWN_FAULTS = (
    "no such file",
    "permission denied",
    "exec format",
    "not a directory",
    "symbolic links",
    "is a directory",
)
USAGE_CODE = 2
NOT_FOUND_CODES = frozenset({126, 127})


@dataclass(frozen=True, slots=True)
class Verdict:
    """A category, and what it rests on; ``outlook`` and ``remedy`` where they are not the category's own."""

    category: Category
    finding: Finding | None = None
    outlook: Outlook | None = None
    remedy: str | None = None
    line: str | None = None


def verdict(evidence: Evidence, log: Findings) -> Verdict:
    """What Headway knows itself, what the program said of its end, how it ended, what it printed: in this order."""
    if evidence.code in TIMEOUTS:
        return _timed_out(evidence.facts, log)
    if own := OWN_FACTS.get(evidence.code):
        return _known_by_headway(own, evidence)
    if evidence.code == "spawn_failed":
        return _not_started(evidence.message)
    word = of_word("\n".join(filter(None, (evidence.message, evidence.traceback))))
    if evidence.code == "worker_error" and (word.cause is None or word.cause.is_generic):
        return Verdict(Category.ORCHESTRATOR_BUG, line=evidence.message)
    cascades = [*word.cascades, *log.cascades]
    if evidence.signal is not None and (word.cause is None or word.cause.is_generic):
        return _signalled(evidence, log, cascades)
    return _ended(evidence, _stronger(word.cause, log), log, cascades)


def _stronger(word: Finding | None, log: Findings) -> Finding | None:
    """The program's word; where no rule knows that, what ended the log, which may say more.

    What the program had caught, or got over, does not; and what ends the log proves little of another exception.
    """
    cause = log.cause
    if word is None or cause is None:
        return word or cause
    if not word.is_generic or cause.is_generic:
        return word
    is_same = any(each.line.endswith(word.line) for each in log.exceptions if each.at >= cause.at)
    is_caught = cause.exception is not None and cause.exception.logged
    if is_same or (cause.exception is None and not cause.is_complaint):
        return cause
    return word if is_caught or cause.is_complaint or not cause.is_sure else replace(cause, is_sure=False)


def _known_by_headway(category: Category, evidence: Evidence) -> Verdict:
    if evidence.losses:
        return Verdict(category, outlook=Outlook.UNKNOWN, remedy=_QUARANTINED)
    outlook = Outlook.FREE if evidence.code in FREE else None
    remedy = _RESULT_INVALID if evidence.code == "result_invalid" else None
    return Verdict(category, outlook=outlook, line=evidence.message if evidence.code in TOLD else None, remedy=remedy)


def _ended(evidence: Evidence, cause: Finding | None, log: Findings, cascades: Sequence[Finding]) -> Verdict:
    """A cause that a rule knows; else what was measured, or printed somewhere; else the user's own exception."""
    if cause is not None and not cause.is_generic:
        return _of(cause)
    if _is_not_finite(evidence.facts):
        return Verdict(Category.NAN_LOSS, line=cause.line if cause else None)
    if found := next((each for each in log.news if cause is None or not each.is_complaint), cause):
        return _of(found)
    return _without_words(evidence, log, cascades)


def _without_words(evidence: Evidence, log: Findings, cascades: Sequence[Finding]) -> Verdict:
    if evidence.exit_code == USAGE_CODE and (line := log.usage):
        return Verdict(Category.BAD_ARGUMENTS, line=line)
    if cascades:
        return _of(cascades[0])
    if evidence.exit_code in NOT_FOUND_CODES:
        return Verdict(Category.COMMAND_NOT_FOUND, outlook=Outlook.UNKNOWN)
    return Verdict(Category.UNKNOWN)


def _signalled(evidence: Evidence, log: Findings, cascades: Sequence[Finding]) -> Verdict:
    number = evidence.signal
    if number == signal.SIGKILL and evidence.facts.oom_kills:
        return Verdict(Category.HOST_OOM_KILL)
    from_outside = number in _FROM_OUTSIDE
    if news := next((each for each in log.news if not from_outside or each.category in FATAL), None):
        return _of(replace(news, is_sure=news.is_sure and not news.is_complaint))
    if number == signal.SIGABRT and (cascade := next(iter(cascades), None)):
        return _of(cascade)
    if number not in _SIGNALS:
        return Verdict(Category.UNKNOWN)
    category = _SIGNALS[signal.Signals(number)]
    told = next((each for each in cascades if each.category is category), None)
    return Verdict(category, told, outlook=Outlook.SAME if number == signal.SIGBUS else None)


def _timed_out(facts: Facts, log: Findings) -> Verdict:
    if news := next((each for each in log.news if each.category in FATAL), None):
        return _of(news)
    if waiting := next((each for each in log.cascades if each.category is Category.COLLECTIVE_TIMEOUT), None):
        return _of(waiting)
    if facts.step is None:
        return Verdict(Category.STARTUP_STALL if facts.spoke else Category.WALL_TIMEOUT)
    if facts.silent_s is not None and facts.silent_s >= HANGS_FROM * (facts.ran_s or math.inf):
        return Verdict(Category.HANG_NO_PROGRESS)
    reached = f"at {facts.progress:.0%} of its work" if facts.progress is not None else f"at step {facts.step:g}"
    remedy = f"It was {reached} when its time was over: give it a longer timeout, or let it resume from checkpoints."
    return Verdict(Category.WALL_TIMEOUT, outlook=Outlook.SAME, remedy=remedy)


def _not_started(message: str) -> Verdict:
    if any(fault in message.lower() for fault in _SPAWN_FAULTS):
        return Verdict(Category.COMMAND_NOT_FOUND, line=message)
    found = of_word(message.rpartition("could not be started: ")[2]).cause
    return _of(found) if found and not found.is_generic else Verdict(Category.CANNOT_START, line=message)


def _of(finding: Finding) -> Verdict:
    rule = finding.rule
    if rule is None:
        return Verdict(finding.category, finding)
    outlook = rule.outlook if finding.is_sure else Outlook.UNKNOWN
    groups = {name: shown(value) for name, value in finding.groups}
    if "other" in groups:
        groups |= dict.fromkeys(("path", "name"), groups["other"])
    try:
        remedy = rule.remedy and rule.remedy.format_map(groups)
    except KeyError:
        remedy = None
    return Verdict(finding.category, finding, outlook, remedy)


def _is_not_finite(facts: Facts) -> bool:
    return bool(facts.losses) and facts.losses[-1] is None
