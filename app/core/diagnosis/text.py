"""Logs as text that rules can read: no colours, one line for each state of a progress bar, who printed what."""

import re

from app.core.diagnosis.masks import masked

LOG_BYTES = 200 * 1024
"""So much of the end of a log is looked at."""
LINE_CHARS = 300
"""So long is a line that is shown."""
_PIECE_CHARS = 500
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]{0,200}(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_RANK = re.compile(
    r"[ \t]*(?:\[\d+,(?P<mpi>\d+)\]<std(?:err|out)>: ?"
    r"|\[(?:[A-Za-z_]{0,20}[ _-]?)(?P<torch>\d+)\] ?:? ?"
    r"|(?:rank|worker|node|trainer|host|process)[ _-]?(?P<named>\d+) ?[:|>\]]+ ?"
    r"|[A-Za-z][\w.-]{0,60}-(?P<pod>\d+) +\| ?"
    r"|(?P<srun>\d{1,5}): ?(?=[A-Z ]))",
    re.IGNORECASE,
)
QUIET = re.compile(r"\b(?:WARN(?:ING)?|INFO|DEBUG|TRACE|NOTICE|HINT|NOTE|\w*Warning)\b|^\s*[WI]\d{4} ")
"""In a line that no verdict rests on: it says itself that it is not bad news."""
ADVICE = re.compile(
    r"\b(?:consider|try(?:ing)?|hint|tip|might|may (?:be|help|want)|could be|can be caused|please|make sure|if you|e\.g"
    r"|for example|did you|see also|for more|to (?:avoid|fix|debug|enable)|in case|retry(?:ing)?|ignor(?:ed|ing)"
    r"|recovered|caught|skipping|falling back)\b",
    re.IGNORECASE,
)
"""In a line about what could be, or what the program made of something."""


def readable(log: str) -> str:
    """Take the colours out, and make a line of each state that a progress bar has had."""
    text = _ANSI.sub("", log) if "\x1b" in log else log
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def split_rank(line: str) -> tuple[str, str]:
    """Return who printed a line, empty where nobody is named, and the line without that."""
    found = _RANK.match(line)
    if found is None:
        return "", line
    return next(filter(None, found.groups()), ""), line[found.end() :]


def line_at(text: str, at: int) -> tuple[int, str]:
    """The line around a place, or of a very long one a piece around it; and where that begins."""
    begin = max(text.rfind("\n", 0, at) + 1, at - at % _PIECE_CHARS - _PIECE_CHARS // 2)
    longest = begin + 2 * _PIECE_CHARS
    end = text.find("\n", at, longest)
    return begin, text[begin : end if end >= 0 else longest]


def shown(line: str) -> str:
    """Make a line fit to be kept and shown: no control characters, no secrets, not long."""
    text = masked(" ".join(_CONTROLS.sub("", _ANSI.sub("", line[: 4 * LINE_CHARS])).split()))
    return text if len(text) <= LINE_CHARS else text[: LINE_CHARS - 1] + "…"
