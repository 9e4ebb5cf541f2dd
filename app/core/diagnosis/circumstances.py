"""What the rest of the evidence makes of a verdict."""

from app.core.diagnosis.evidence import Evidence
from app.core.diagnosis.verdict import NOT_FOUND_CODES, Verdict
from schemas.diagnosis import Category, Outlook

_SETTINGS = ("cfg", "conf", "param", "args", "setting", "option", "environ", "hparam", "yaml", "getenv")


def with_circumstances(verdict: Verdict, evidence: Evidence) -> Verdict:
    """A verdict with the remedy and the outlook that it has here."""
    facts, finding = evidence.facts, verdict.finding
    if verdict.category is Category.SIGKILL_UNCONFIRMED and facts.oom_kills:
        return Verdict(Category.HOST_OOM_KILL, finding)
    if evidence.exit_code in NOT_FOUND_CODES and verdict.category in {Category.MISSING_FILE, Category.PERMISSION}:
        return Verdict(Category.COMMAND_NOT_FOUND, finding)
    raised = finding.exception if finding else None
    if raised and verdict.category is Category.USER_EXCEPTION:
        if raised.text.startswith("KeyboardInterrupt"):
            return Verdict(Category.WORKER_SHUTDOWN, finding)
        if raised.text.startswith("KeyError") and any(word in raised.source.lower() for word in _SETTINGS):
            remedy = f"The setting {raised.line.partition(': ')[2]} is missing: add it to the configuration."
            return Verdict(Category.BAD_ARGUMENTS, finding, Outlook.CHANGED, remedy)
        if raised.frame:
            verdict = Verdict(
                verdict.category, finding, verdict.outlook, f"Look at {raised.frame}, where it was raised."
            )
    if facts.step is not None and verdict.category in {Category.USER_EXCEPTION, Category.MISSING_FILE}:
        return Verdict(verdict.category, finding, Outlook.SAME, verdict.remedy, verdict.line)
    return verdict
