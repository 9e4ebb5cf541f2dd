"""What in a text points to a category, and which of it is the cause: the first that the program did not get over."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from app.core.diagnosis.exceptions import Link
from app.core.diagnosis.finding import Finding
from app.core.diagnosis.last_output import is_usage, last_words, others_after, usage
from app.core.diagnosis.text import line_at, split_rank
from schemas.diagnosis import Category

DECISIVE = frozenset(
    {Category.GPU_HARDWARE, Category.HOST_OOM_KILL, Category.PREEMPTED, Category.NODE_LOST, Category.WALL_TIMEOUT}
)
"""What is done to a program from outside: whatever it says of its end then is only what followed."""
_STREAMS_LOOKED_AT = 500
_PROGRESS = re.compile(
    r"(?:\b(?:step|iter|iteration|epoch|batch)\b[ =:#]{0,3}\d|\d ?(?:it/s|s/it)\b|\d%\|)", re.IGNORECASE
)


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
        end = self._first_end
        if end is None and not self.news and len(self.cascades) > 1:
            # Several processes died of something, and what one of them printed last may have been said long before its
            # exception: output waits in buffers.
            return self._last_end_of_any()
        before = [each for each in self.news if end is None or each.at < end.at]
        return next((each for each in before if end is None or end.is_generic or each.category in DECISIVE), end)

    @cached_property
    def _first_end(self) -> Finding | None:
        ends = [end for end in (self._end_of(stream) for stream in self._streams) if end]
        first = min(ends, key=lambda each: each.at, default=None)
        return self._seen_to_end(first) if first else None

    def _last_end_of_any(self) -> Finding | None:
        ends = [end for end in (self._end_of(stream, sure=False) for stream in self._streams) if end]
        return replace(max(ends, key=lambda each: each.at), is_sure=False) if ends else None

    @cached_property
    def news(self) -> list[Finding]:
        """The lines that are bad news where they stand, and that the program did not get over.

        A complaint is none where an exception came after it: that is the last word.
        """
        last = self._first_end.at if self._first_end else -1
        news = [each for each in self.lines if not each.is_cascade and not self._got_over(each)]
        news = [each for each in news if not each.is_complaint or each.at > last]
        seen = [self._seen_to_end(each) if each.is_complaint else each for each in news]
        return [each for each in seen if each.is_sure or not is_usage(each.line)]

    @property
    def usage(self) -> str | None:
        """The last line of a program that ended by explaining how it is called."""
        return usage(self._all, self.text)

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
        """Whether the same stream went on to make progress, or after what it only logged had another last word."""
        is_logged = finding.exception is not None and finding.exception.logged
        last_word = self._last_words.get(finding.stream, -1) if is_logged else -1
        return max(last_word, self._last_progress.get(finding.stream, -1)) >= finding.end

    def _seen_to_end(self, finding: Finding) -> Finding:
        """The finding, sure only where nothing of another kind was printed after it."""
        is_last = next(others_after(finding, self._all, self.text), None) is None
        return finding if is_last else replace(finding, is_sure=False)

    @cached_property
    def _last_words(self) -> dict[str, int]:
        return last_words(self._all, self.text)

    @cached_property
    def _last_progress(self) -> dict[str, int]:
        last: dict[str, int] = {}
        inside = [(each.at, each.end) for each in self.exceptions]
        for match in list(_PROGRESS.finditer(self.text))[-_STREAMS_LOOKED_AT:]:
            at = match.start()
            stream, line = split_rank(line_at(self.text, at)[1])
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
