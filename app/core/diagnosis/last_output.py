"""What was printed after a finding: whether a program ended by it, or went on and ended by something else."""

import re
from collections.abc import Iterator, Sequence

from app.core.diagnosis.exceptions import HEAD, Link
from app.core.diagnosis.finding import Finding
from app.core.diagnosis.text import ADVICE, QUIET, line_at, split_rank
from schemas.diagnosis import Category

_LAST_WORDS_AMONG = 100
_LINE_MAX = 1_000
_USAGE = "usage: "
_USAGE_CHARS = 4_096
_REFUSAL = re.compile(r"(?:^|: )error: ", re.IGNORECASE)
_SECTION = re.compile(r"[A-Za-z ]{1,40}:$")
_HEADINGS = (HEAD, *Link)


def others_after(finding: Finding, found: Sequence[Finding], text: str) -> Iterator[str]:
    """The lines after it in its stream that are no advice, and no part of it or of what follows from it."""
    own = {each.at for each in found if _follows(each, finding)}
    begin = finding.end
    while 0 <= begin < len(text):
        stop = text.find("\n", begin)
        stop = len(text) if stop < 0 else stop
        stream, line = split_rank(text[begin : min(stop, begin + _LINE_MAX)])
        is_theirs = finding.stream and stream != finding.stream
        if not (is_theirs or begin in own or _goes_on(line)):
            yield line
        begin = stop + 1


def last_words(found: Sequence[Finding], text: str) -> dict[str, int]:
    """Where each stream said its last line but advice and exceptions; nowhere if that calls itself harmless."""
    last: dict[str, int] = {}
    known = {each.at for each in found if each.exception or each.is_cascade}
    end = len(text)
    for _ in range(_LAST_WORDS_AMONG):
        if end < 0:
            break
        begin = text.rfind("\n", 0, end) + 1
        stream, line = split_rank(text[begin : min(end, begin + _LINE_MAX)])
        if begin not in known and not _goes_on(line):
            last.setdefault(stream, -1 if QUIET.search(line[:120]) else begin)
        end = begin - 1
    return last


def usage(found: Sequence[Finding], text: str) -> str | None:
    """The last line of a program that ended by explaining how it is called."""
    at = text.lower().rfind("\n" + _USAGE, -_USAGE_CHARS) + 1
    line = line_at(text, at)[1]
    if not is_usage(line):
        return None
    explained = Finding(at, at + len(line), "", line, Category.BAD_ARGUMENTS)
    others = [each for each in others_after(explained, found, text) if not _SECTION.match(each)]
    if others[1:] or not all(map(_REFUSAL.search, others)):
        return None
    return text.rstrip().rpartition("\n")[2]


def is_usage(line: str) -> bool:
    """Whether a program begins to explain here how it is called."""
    return line.lower().startswith(_USAGE)


def _follows(each: Finding, finding: Finding) -> bool:
    """Whether a line only follows from a finding, or says the same."""
    is_chained = each.exception is not None and each.exception.link is not None
    return each.is_cascade or is_chained or each.category is finding.category


def _goes_on(line: str) -> bool:
    """Whether a line only goes on with what stands above it: blank, indented, the head of a traceback, or advice."""
    return not line.strip() or line.startswith(("  ", "\t", *_HEADINGS)) or bool(ADVICE.search(line))
