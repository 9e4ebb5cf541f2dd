"""What in a text points to a category, and which of it is the cause: the first that the program did not get over."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from app.core.diagnosis import rules
from app.core.diagnosis.exceptions import Link, Raised, raised, said
from app.core.diagnosis.rule import Reach, Rule
from app.core.diagnosis.text import readable, split_rank
from schemas.diagnosis import Category

EVERYWHERE = tuple(each for each in rules.ALL if each.reach is Reach.ANYWHERE)
AT_THE_END = tuple(each for each in rules.ALL if each.reach is not Reach.EXCEPTION)
EVERYWHERE_WORDS = tuple(dict.fromkeys(word for each in EVERYWHERE for word in each.triggers))
DECISIVE = frozenset(
    {Category.GPU_HARDWARE, Category.HOST_OOM_KILL, Category.PREEMPTED, Category.NODE_LOST, Category.WALL_TIMEOUT}
)
"""What is done to a program from outside: whatever it says of its end then is only what followed."""
LAST_LINES = 12
_PLACES_MAX = 20
_PIECE_CHARS = 500
_STREAMS_LOOKED_AT = 500
_QUIET = re.compile(r"\b(?:WARN(?:ING)?|INFO|DEBUG|TRACE|NOTICE|HINT|NOTE|\w*Warning)\b|^\s*[WI]\d{4} ")
_ADVICE = re.compile(
    r"\b(?:consider|try(?:ing)?|hint|tip|might|may (?:be|help|want)|could be|can be caused|please|make sure|if you|e\.g"
    r"|for example|did you|see also|for more|to (?:avoid|fix|debug)|in case|retry(?:ing)?|ignor(?:ed|ing)|recovered"
    r"|caught|skipping|falling back)\b",
    re.IGNORECASE,
)
_PROGRESS = re.compile(
    r"(?:\b(?:step|iter|iteration|epoch|batch)\b[ =:#]{0,3}\d|\d ?(?:it/s|s/it)\b|\d%\|)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A line that a rule knows, or an exception that none knows, which is the user's own."""

    at: int
    end: int
    stream: str
    line: str
    category: Category
    rule: Rule | None = None
    groups: tuple[tuple[str, str], ...] = ()
    exception: Raised | None = None
    is_sure: bool = True
    """Whether it ended its program, as far as can be seen."""

    @property
    def is_cascade(self) -> bool:
        """Whether it only follows from something else."""
        return self.rule is not None and self.rule.cascade

    @property
    def is_generic(self) -> bool:
        """Whether no rule knows it."""
        return self.rule is None


@dataclass(frozen=True)
class Findings:
    """All that points somewhere in one text, in the order in which it was printed."""

    text: str
    exceptions: tuple[Finding, ...]
    lines: tuple[Finding, ...]

    @property
    def cascades(self) -> list[Finding]:
        """What follows from something else."""
        return [each for each in self._all if each.is_cascade]

    @property
    def cause(self) -> Finding | None:
        """What the program ended by: in each stream its last exception, and of all of them the first in time.

        An exception that no rule knows gives way to a line of bad news before it, and any exception to what is done to
        a program from outside.
        """
        ends = [end for end in (self._end_of(stream) for stream in self._streams) if end]
        end = min(ends, key=lambda each: each.at, default=None)
        news = [each for each in self.lines if not each.is_cascade and not self._got_over(each)]
        if end is None and not news and len(self.cascades) > 1:
            # Several processes died of something, and what one of them printed last may have been said long before its
            # exception: output waits in buffers.
            return self._last_end_of_any()
        before = [each for each in news if end is None or each.at < end.at]
        return next((each for each in before if end is None or end.is_generic or each.category in DECISIVE), end)

    def _last_end_of_any(self) -> Finding | None:
        ends = [end for end in (self._end_of(stream, sure=False) for stream in self._streams) if end]
        return replace(max(ends, key=lambda each: each.at), is_sure=False) if ends else None

    @property
    def bad_news(self) -> Finding | None:
        """The first line that is bad news wherever it is printed, and that the program did not get over."""
        return next((each for each in self.lines if not each.is_cascade and not self._got_over(each)), None)

    def later_than(self, at: int) -> list[Finding]:
        """What was printed after this place."""
        return [each for each in self._all if each.at > at]

    @cached_property
    def _all(self) -> list[Finding]:
        return sorted((*self.exceptions, *self.lines), key=lambda each: each.at)

    @cached_property
    def _streams(self) -> list[str]:
        return list(dict.fromkeys(each.stream for each in self.exceptions))

    def _end_of(self, stream: str, *, sure: bool = True) -> Finding | None:
        """The exception that ended a stream: the last one, or what it came up from; never a cascade."""
        chains: list[list[Finding]] = []
        for each in self.exceptions:
            if each.stream != stream:
                continue
            if chains and each.exception and each.exception.link:
                chains[-1].append(each)
            else:
                chains.append([each])
        causes = (_root_of(chain) for chain in reversed(chains) if not (sure and self._got_over(chain[-1])))
        return next((cause for cause in causes if cause), None)

    def _got_over(self, finding: Finding) -> bool:
        """Whether the same stream went on to make progress."""
        return self._last_progress.get(finding.stream, -1) >= finding.end

    @cached_property
    def _last_progress(self) -> dict[str, int]:
        last: dict[str, int] = {}
        inside = [(each.at, each.end) for each in self.exceptions]
        for match in list(_PROGRESS.finditer(self.text))[-_STREAMS_LOOKED_AT:]:
            at = match.start()
            stream, line = split_rank(_line_at(self.text, at)[1])
            if not (line.startswith("    ") or any(first <= at < stop for first, stop in inside)):
                last[stream] = at
        return last


def _root_of(chain: Sequence[Finding]) -> Finding | None:
    """Of exceptions that came up from each other the one that it began with, as far as they are about the same thing.

    What is raised on purpose while another is handled is about that one; what just happens then is a thing of its own.
    """
    first = len(chain) - 1
    while first and (raised := chain[first].exception) and (raised.link is Link.CAUSE or raised.deliberate):
        first -= 1
    roots = [each for each in chain[first:] if not each.is_cascade]
    return next((each for each in roots if not each.is_generic), next(iter(roots), None))


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
    known = None if exceptions else _known(line, rules.ALL)
    return Findings(text, exceptions, (_finding((0, len(line), "", line), *known),) if known else ())


def _of_exception(exception: Raised) -> Finding:
    known = _known(exception.text, rules.ALL, f"{exception.source} {exception.frame}")
    place = (exception.at, exception.end, exception.stream, exception.line)
    if known is None:
        return Finding(*place, Category.USER_EXCEPTION, exception=exception)
    return _finding(place, *known, exception=exception)


def _lines(text: str, inside: Sequence[tuple[int, int]]) -> Iterator[Finding]:
    """The lines that rules know, but for those of tracebacks: any for bad news, the last ones for complaints too."""
    if not text:
        return
    small = _small(text)
    places = {_line_at(text, at)[0]: at for word in EVERYWHERE_WORDS for at in _last_places(small, word)}
    asked = [(at, EVERYWHERE) for at in places.values()]
    asked += [(at, AT_THE_END) for at in _last_lines(text)]
    for at, among in asked:
        begin, line = _line_at(text, at)
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
    known = _known(said_there, among)
    if known is None or said_there.startswith(("    ", "\t", "\u2502")):  # a line of source code in a traceback
        return
    before = said_there[: known[1].start() + 1]
    if not (_QUIET.search(before[:120]) or _ADVICE.search(before)):
        yield _finding((begin, begin + len(line), stream, said_there), *known)


def _known(text: str, among: Sequence[Rule], near: str = "") -> tuple[Rule, re.Match[str]] | None:
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


def _line_at(text: str, at: int) -> tuple[int, str]:
    """The line around a place, or of a very long one a piece around it; and where that begins."""
    begin = max(text.rfind("\n", 0, at) + 1, at - at % _PIECE_CHARS - _PIECE_CHARS // 2)
    longest = begin + 2 * _PIECE_CHARS
    end = text.find("\n", at, longest)
    return begin, text[begin : end if end >= 0 else longest]
