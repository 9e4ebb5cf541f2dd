"""From evidence to a diagnosis."""

import math
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from app.core.diagnosis.categories import MEANINGS
from app.core.diagnosis.evidence import Evidence
from app.core.diagnosis.findings import Finding, Findings, of_log, of_word
from app.core.diagnosis.fingerprint import fingerprint
from app.core.diagnosis.text import LOG_BYTES, shown
from schemas.diagnosis import Category, Diagnosis, Facts, Outlook

RULE_VERSION = 1
"""Raised with every change of the rules: what was diagnosed by older ones is then diagnosed again."""
CASCADES_MAX = 5
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
FREE = frozenset({"drained", "lost_worker", "preempted"})
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
_SETTINGS = ("cfg", "conf", "param", "args", "setting", "option", "environ", "hparam", "yaml", "getenv")
_SPAWN_FAULTS = (
    "no such file",
    "permission denied",
    "exec format",
    "not a directory",
    "symbolic links",
    "is a directory",
)
_USAGE = "usage: "
USAGE_CODE = 2
NOT_FOUND_CODES = frozenset({126, 127})


@dataclass(frozen=True, slots=True)
class _Verdict:
    """A category, and what it rests on; ``outlook`` and ``remedy`` where they are not the category's own."""

    category: Category
    finding: Finding | None = None
    outlook: Outlook | None = None
    remedy: str | None = None
    line: str | None = None


def diagnose(evidence: Evidence) -> Diagnosis:
    """Say why an attempt failed; the same evidence gives the same answer."""
    log = of_log(evidence.log[-LOG_BYTES:])
    verdict = _with_circumstances(_verdict(evidence, log), evidence)
    finding, meaning = verdict.finding, MEANINGS[verdict.category]
    line = finding.line if finding else verdict.line
    frame = finding.exception.frame if finding and finding.exception else ""
    return Diagnosis(
        category=verdict.category,
        domain=meaning.domain,
        outlook=Outlook.NEVER if evidence.facts.final else verdict.outlook or meaning.outlook,
        remedy=shown(verdict.remedy or meaning.remedy),
        fingerprint=fingerprint(verdict.category, line or evidence.code, frame),
        rule_version=RULE_VERSION,
        root_line=shown(line) if line else None,
        cascades=_cascades(log, finding),
        facts=evidence.facts,
    )


def _verdict(evidence: Evidence, log: Findings) -> _Verdict:
    if evidence.code in TIMEOUTS:
        return _timed_out(evidence.facts, log)
    if own := OWN_FACTS.get(evidence.code):
        outlook = Outlook.FREE if evidence.code in FREE else None
        return _Verdict(own, outlook=outlook, line=evidence.message or None)
    if evidence.code == "spawn_failed":
        return _not_started(evidence.message)
    word = of_word("\n".join(filter(None, (evidence.message, evidence.traceback))))
    if evidence.code == "worker_error":
        known = word.cause
        return (
            _of(known) if known and not known.is_generic else _Verdict(Category.ORCHESTRATOR_BUG, line=evidence.message)
        )
    cascades = [*word.cascades, *log.cascades]
    if evidence.signal is not None and (word.cause is None or word.cause.is_generic):
        return _signalled(evidence, log, cascades)
    causes = [cause for cause in (word.cause, log.cause) if cause]
    return _ended(evidence, min(causes, key=lambda each: each.is_generic, default=None), log, cascades)


def _ended(evidence: Evidence, cause: Finding | None, log: Findings, cascades: Sequence[Finding]) -> _Verdict:
    """A cause that a rule knows; else what was measured, or printed somewhere; else the user's own exception."""
    if cause is not None and not cause.is_generic:
        return _of(cause)
    if _is_not_finite(evidence.facts):
        return _Verdict(Category.NAN_LOSS, line=cause.line if cause else None)
    if found := log.bad_news or cause:
        return _of(found)
    return _without_words(evidence, cascades)


def _without_words(evidence: Evidence, cascades: Sequence[Finding]) -> _Verdict:
    if evidence.exit_code == USAGE_CODE and (line := _usage(evidence.log)):
        return _Verdict(Category.BAD_ARGUMENTS, line=line)
    if cascades:
        return _of(cascades[0])
    if evidence.exit_code in NOT_FOUND_CODES:
        return _Verdict(Category.COMMAND_NOT_FOUND, outlook=Outlook.UNKNOWN)
    return _Verdict(Category.UNKNOWN)


def _signalled(evidence: Evidence, log: Findings, cascades: Sequence[Finding]) -> _Verdict:
    number = evidence.signal
    if number == signal.SIGKILL and evidence.facts.oom_kills:
        return _Verdict(Category.HOST_OOM_KILL)
    if news := log.bad_news:
        return _of(news)
    if number == signal.SIGABRT and (cascade := next(iter(cascades), None)):
        return _of(cascade)
    if number not in _SIGNALS:
        return _Verdict(Category.UNKNOWN)
    category = _SIGNALS[signal.Signals(number)]
    told = next((each for each in cascades if each.category is category), None)
    return _Verdict(category, told, outlook=Outlook.SAME if number == signal.SIGBUS else None)


def _timed_out(facts: Facts, log: Findings) -> _Verdict:
    if news := log.bad_news:
        return _of(news)
    if waiting := next((each for each in log.cascades if each.category is Category.COLLECTIVE_TIMEOUT), None):
        return _of(waiting)
    if facts.step is None:
        return _Verdict(Category.STARTUP_STALL if facts.spoke else Category.WALL_TIMEOUT)
    if facts.silent_s is not None and facts.silent_s >= HANGS_FROM * (facts.ran_s or math.inf):
        return _Verdict(Category.HANG_NO_PROGRESS)
    reached = f"at {facts.progress:.0%} of its work" if facts.progress is not None else f"at step {facts.step:g}"
    remedy = f"It was {reached} when its time was over: give it a longer timeout, or let it resume from checkpoints."
    return _Verdict(Category.WALL_TIMEOUT, outlook=Outlook.SAME, remedy=remedy)


def _not_started(message: str) -> _Verdict:
    if any(fault in message.lower() for fault in _SPAWN_FAULTS):
        return _Verdict(Category.COMMAND_NOT_FOUND, line=message)
    found = of_word(message.rpartition("could not be started: ")[2]).cause
    return _of(found) if found and not found.is_generic else _Verdict(Category.CANNOT_START, line=message)


def _of(finding: Finding) -> _Verdict:
    rule = finding.rule
    if rule is None:
        return _Verdict(finding.category, finding)
    outlook = rule.outlook if finding.is_sure else Outlook.UNKNOWN
    groups = {name: shown(value) for name, value in finding.groups}
    if "other" in groups:
        groups |= dict.fromkeys(("path", "name"), groups["other"])
    try:
        remedy = rule.remedy and rule.remedy.format_map(groups)
    except KeyError:
        remedy = None
    return _Verdict(finding.category, finding, outlook, remedy)


def _with_circumstances(verdict: _Verdict, evidence: Evidence) -> _Verdict:
    """What the rest of the evidence makes of a verdict."""
    facts, finding = evidence.facts, verdict.finding
    if verdict.category is Category.SIGKILL_UNCONFIRMED and facts.oom_kills:
        return _Verdict(Category.HOST_OOM_KILL, finding)
    if evidence.exit_code in NOT_FOUND_CODES and verdict.category in {Category.MISSING_FILE, Category.PERMISSION}:
        return _Verdict(Category.COMMAND_NOT_FOUND, finding)
    raised = finding.exception if finding else None
    if raised and verdict.category is Category.USER_EXCEPTION:
        if raised.text.startswith("KeyboardInterrupt"):
            return _Verdict(Category.WORKER_SHUTDOWN, finding)
        if raised.text.startswith("KeyError") and any(word in raised.source.lower() for word in _SETTINGS):
            remedy = f"The setting {raised.line.partition(': ')[2]} is missing: add it to the configuration."
            return _Verdict(Category.BAD_ARGUMENTS, finding, Outlook.CHANGED, remedy)
        if raised.frame:
            verdict = _Verdict(
                verdict.category, finding, verdict.outlook, f"Look at {raised.frame}, where it was raised."
            )
    if facts.step is not None and verdict.category in {Category.USER_EXCEPTION, Category.MISSING_FILE}:
        return _Verdict(verdict.category, finding, Outlook.SAME, verdict.remedy, verdict.line)
    return verdict


def _is_not_finite(facts: Facts) -> bool:
    return bool(facts.losses) and facts.losses[-1] is None


def _usage(log: str) -> str | None:
    """The complaint at the end of a program that explains how it is called."""
    lines = [line for line in log[-4_096:].splitlines() if line.strip()]
    return lines[-1] if any(line.lower().startswith(_USAGE) for line in lines) else None


def _cascades(log: Findings, root: Finding | None) -> list[str]:
    later = log.later_than(root.at if root else -1)
    lines = (shown(each.line) for each in later if root is None or each.line != root.line)
    return list(dict.fromkeys(lines))[:CASCADES_MAX]
