"""Read a text by the rules: the exceptions in it, the lines that are bad news, the complaints at its end."""

import re
from collections.abc import Iterator, Sequence

from app.core.diagnosis import rules
from app.core.diagnosis.exceptions import Raised, raised, said
from app.core.diagnosis.finding import Finding
from app.core.diagnosis.findings import Findings
from app.core.diagnosis.rule import Reach, Rule
from app.core.diagnosis.text import ADVICE, QUIET, line_at, readable, split_rank
from schemas.diagnosis import Category

EVERYWHERE = tuple(each for each in rules.ALL if each.reach is Reach.ANYWHERE)
EVERYWHERE_WORDS = tuple(dict.fromkeys(word for each in EVERYWHERE for word in each.triggers))
AT_THE_END = tuple(each for each in rules.ALL if each.reach is not Reach.EXCEPTION)
LAST_LINES = 12
_PLACES_MAX = 20


def of_log(log: str) -> Findings:
    """What a log points to."""
    text = readable(log)
    exceptions = tuple(_of_exception(each) for each in raised(text))
    inside = [(each.at, each.exception.end) for each in exceptions if each.exception]
    lines = {each.at: each for each in _lines(text, inside)}
    return Findings(text, exceptions, tuple(lines[at] for at in sorted(lines)))


def of_word(text: str) -> Findings:
    """What the program, or whoever started it, said of its end: every rule may be meant."""
    text = readable(text)
    exceptions = tuple(_of_exception(each) for each in said(text))
    line = text.partition("\n")[0]
    found = None if exceptions else known(line, rules.ALL)
    return Findings(text, exceptions, (_finding((0, len(line), "", line), *found),) if found else ())


def _of_exception(exception: Raised) -> Finding:
    found = known(exception.text, rules.ALL, f"{exception.source} {exception.frame}")
    place = (exception.at, exception.end, exception.stream, exception.line)
    if found is None:
        return Finding(*place, Category.USER_EXCEPTION, exception=exception)
    return _finding(place, *found, exception=exception)


def _lines(text: str, inside: Sequence[tuple[int, int]]) -> Iterator[Finding]:
    """The lines that rules know, but for those of tracebacks: any for bad news, the last ones for complaints too."""
    if not text:
        return
    small = _small(text)
    places = {line_at(text, at)[0]: at for word in EVERYWHERE_WORDS for at in _last_places(small, word)}
    asked = [(at, EVERYWHERE) for at in places.values()]
    asked += [(at, AT_THE_END) for at in _last_lines(text)]
    for at, among in asked:
        begin, line = line_at(text, at)
        if not any(first <= at < last for first, last in inside):
            yield from _of_line(begin, line, among)


def _last_lines(text: str) -> Iterator[int]:
    end = len(text.rstrip())
    for _ in range(LAST_LINES):
        if end <= 0:
            return
        yield end - 1
        end = text.rfind("\n", 0, end)
        while end > 0 and text[end - 1] == "\n":
            end -= 1


def _of_line(begin: int, line: str, among: Sequence[Rule]) -> Iterator[Finding]:
    stream, said_there = split_rank(line)
    found = known(said_there, among)
    if found is None or said_there.startswith(("  ", "\t", "\u2502")):  # a line of source code, as in tracebacks
        return
    before = said_there[: found[1].start() + 1]
    if not (QUIET.search(before[:120]) or ADVICE.search(before)):
        yield _finding((begin, begin + len(line), stream, said_there), *found)


def known(text: str, among: Sequence[Rule], near: str = "") -> tuple[Rule, re.Match[str]] | None:
    """The first of the rules that knows a text; ``near`` is the code that it came from."""
    small = text.lower()
    for each in among:
        if not any(word in small for word in each.triggers) or (each.near and not each.near.search(near)):
            continue
        if match := each.pattern.search(text):
            return each, match
    return None


def _finding(
    place: tuple[int, int, str, str], rule: Rule, match: re.Match[str], *, exception: Raised | None = None
) -> Finding:
    groups = tuple((name, value) for name, value in match.groupdict().items() if value)
    return Finding(*place, rule.category, rule, groups, exception)


def _small(text: str) -> str:
    """The text in small letters, each in its place: some letters of Unicode would become two."""
    small = text.lower()
    return small if len(small) == len(text) else text.encode("ascii", "replace").decode().lower()


def _last_places(text: str, word: str) -> Iterator[int]:
    at = len(text)
    for _ in range(_PLACES_MAX):
        at = text.rfind(word, 0, at)
        if at < 0:
            return
        yield at
