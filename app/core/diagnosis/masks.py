"""Secrets in lines of logs, by the shapes that people and programs give them; what is not sure is masked as well.

Each pattern takes time in proportion to the line: what repeats is bounded, or begins where nothing else can.
"""

import re

_KEYS = (
    r"(?:pass(?:word|wd|phrase)?|secret(?:[_-]?key)?|token|(?:api|access|account|private)[_-]?key|credentials?|authorization"
    r"|(?<![a-z])sig(?:nature)?)"
)
_OPEN = r"(?:[bru]{0,2}(?P<escaped>\\{1,3})?(?P<quote>['\"]))?"
_VALUE = (  # a quoted one up to its closing quote, which stays
    r"(?(escaped)[^'\"\\]*|(?(quote)(?:\\.|(?!(?P=quote))[^\\])*|(?:(?:bearer|basic|digest) )?[^\s'\",;&]+))"
)
_MASKS = (
    (r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", "***"),
    (r"\b((?:bearer|basic) {1,3}\\{0,3}['\"]?)[\w.~+/=-]{8,}", r"\1***"),
    (r"(?<=://)[^\s/@:]{0,200}:[^\s/]{1,500}(?=@)", "***"),
    (rf"({_KEYS}\\{{0,3}}['\"]?\s{{0,3}}[=:]>?\s{{0,3}}{_OPEN}){_VALUE}", r"\1***"),
    (rf"((?<![\w-])--[\w-]{{0,40}}{_KEYS}(?:['\"]?,\s{{0,3}}|\s{{1,3}}){_OPEN}){_VALUE}", r"\1***"),
    (r"\b(?-i:AKIA|ASIA)(?-i:[A-Z0-9]{12,})|\b(?-i:AIza)[\w-]{30,}", "***"),
    (r"\b(?-i:hf|sk|pk|gh[oprsu]|github_pat|xox[abeprs]|npm|gl[a-z]{2,5})[_-][\w-]{10,}(?:\.[\w-]{2,})*", "***"),
)
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), mask) for pattern, mask in _MASKS)


def masked(line: str) -> str:
    """Put ``***`` in place of what looks like a secret."""
    for pattern, mask in _PATTERNS:
        line = pattern.sub(mask, line)
    return line
