"""From evidence to a diagnosis."""

from app.core.diagnosis.categories import MEANINGS
from app.core.diagnosis.circumstances import with_circumstances
from app.core.diagnosis.evidence import Evidence
from app.core.diagnosis.finding import Finding
from app.core.diagnosis.findings import Findings
from app.core.diagnosis.fingerprint import fingerprint
from app.core.diagnosis.reading import of_log
from app.core.diagnosis.text import LOG_BYTES, shown
from app.core.diagnosis.verdict import verdict
from schemas.diagnosis import Diagnosis, Outlook

RULE_VERSION = 3
"""Raised with every change of the rules: what was diagnosed by older ones is then diagnosed again."""
CASCADES_MAX = 5


def diagnose(evidence: Evidence) -> Diagnosis:
    """Say why an attempt failed; the same evidence gives the same answer."""
    log = of_log(evidence.log[-LOG_BYTES:])
    found = with_circumstances(verdict(evidence, log), evidence)
    finding, meaning = found.finding, MEANINGS[found.category]
    line = finding.line if finding else found.line
    frame = finding.exception.frame if finding and finding.exception else ""
    return Diagnosis(
        category=found.category,
        domain=meaning.domain,
        outlook=Outlook.NEVER if evidence.facts.final else found.outlook or meaning.outlook,
        remedy=shown(found.remedy or meaning.remedy),
        fingerprint=fingerprint(found.category, line or evidence.code, frame),
        rule_version=RULE_VERSION,
        root_line=shown(line) if line else None,
        cascades=_cascades(log, finding),
        facts=evidence.facts,
    )


def _cascades(log: Findings, root: Finding | None) -> list[str]:
    later = log.later_than(root.at if root else -1)
    lines = (shown(each.line) for each in later if root is None or each.line != root.line)
    return list(dict.fromkeys(lines))[:CASCADES_MAX]
