"""Diagnosis: why an attempt failed, as a pure function of what is known of it.

``diagnose`` asks in this order: what Headway did itself (a timeout, a lost worker), what the program said of its end
(an error line, the file of TORCHELASTIC_ERROR_FILE), how it ended (a signal), what it printed, what it had measured,
and its exit code. In what it printed, the last exception of each rank is what ended that rank, and the first of those
in time is the cause; what only follows from others (a ``cascade``) is never one while there is another. The rules are
data, in ``rules/``; what the categories mean is in ``categories.py``.
"""

from app.core.diagnosis.categories import MEANINGS
from app.core.diagnosis.diagnosing import RULE_VERSION, diagnose
from app.core.diagnosis.evidence import Evidence
from app.core.diagnosis.text import LOG_BYTES

__all__ = ["LOG_BYTES", "MEANINGS", "RULE_VERSION", "Evidence", "diagnose"]
