"""What the rest of the evidence makes of a verdict."""

from dataclasses import replace

from app.core.diagnosis.evidence import Evidence
from app.core.diagnosis.exceptions import Raised
from app.core.diagnosis.finding import Finding
from app.core.diagnosis.verdict import NOT_FOUND_CODES, Verdict
from schemas.diagnosis import Category, Outlook

_SETTINGS = ("cfg", "conf", "param", "args", "setting", "option", "environ", "hparam", "yaml", "getenv")


def with_circumstances(verdict: Verdict, evidence: Evidence) -> Verdict:
    """A verdict with the remedy and the outlook that it has here; of what need not have been the end that is open."""
    here = _here(verdict, evidence)
    finding = here.finding
    is_open = finding is not None and here.outlook is not Outlook.SAME and not _is_end(finding, evidence)
    return replace(here, outlook=Outlook.UNKNOWN) if is_open else here


def _is_end(finding: Finding, evidence: Evidence) -> bool:
    """Whether the attempt ended by it: a shell that misses a program at its end has an exit code for that."""
    is_missed = finding.is_complaint and finding.category is Category.COMMAND_NOT_FOUND
    return finding.is_sure and (not is_missed or evidence.exit_code in NOT_FOUND_CODES)


def _here(verdict: Verdict, evidence: Evidence) -> Verdict:
    finding = verdict.finding
    if verdict.category is Category.SIGKILL_UNCONFIRMED and evidence.facts.oom_kills:
        return Verdict(Category.HOST_OOM_KILL, finding)
    if evidence.exit_code in NOT_FOUND_CODES and verdict.category in {Category.MISSING_FILE, Category.PERMISSION}:
        verdict = Verdict(Category.COMMAND_NOT_FOUND, finding)
    if verdict.category is Category.COMMAND_NOT_FOUND:
        return _by_path(verdict)
    if verdict.category is Category.USER_EXCEPTION and finding and finding.exception:
        verdict = _of_exception(verdict, finding.exception)
    if evidence.facts.step is not None and verdict.category in {Category.USER_EXCEPTION, Category.MISSING_FILE}:
        return replace(verdict, outlook=Outlook.SAME)
    return verdict


def _of_exception(verdict: Verdict, raised: Raised) -> Verdict:
    if raised.text.startswith("KeyboardInterrupt"):
        return Verdict(Category.WORKER_SHUTDOWN, verdict.finding)
    if raised.text.startswith("KeyError") and any(word in raised.source.lower() for word in _SETTINGS):
        remedy = f"The setting {raised.line.partition(': ')[2]} is missing: add it to the configuration."
        return Verdict(Category.BAD_ARGUMENTS, verdict.finding, Outlook.CHANGED, remedy)
    return replace(verdict, remedy=f"Look at {raised.frame}, where it was raised.") if raised.frame else verdict


def _by_path(verdict: Verdict) -> Verdict:
    """A program that is named by a path may be there once that is mounted, or was copied."""
    line = verdict.finding.line if verdict.finding else verdict.line or ""
    is_path = verdict.outlook is None and "/" in line.rpartition("could not be started: ")[2]
    return replace(verdict, outlook=Outlook.CHANGED) if is_path else verdict
