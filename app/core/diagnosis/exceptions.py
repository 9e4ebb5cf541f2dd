"""The exceptions that ended Python programs, found in what they printed."""

import re
from dataclasses import dataclass
from enum import StrEnum

from app.core.diagnosis.text import split_rank

HEAD = "Traceback (most recent call last)"
KEPT_MAX = 100
FRAMES_MAX = 250
BACK_LINES_MAX = 120
FORWARD_LINES_MAX = 60
MORE_LINES_MAX = 8
_LINE_MAX = 1_000
_RAISED = re.compile(
    r"(?P<type>(?:[A-Za-z_]\w{0,60}\.){0,8}(?P<name>_?[A-Z]\w{0,60})|(?:[a-z_]\w{0,60}\.){1,8}(?P<small>[a-z_]\w{0,60}))"
    r"(?P<rest>: [^\n]*|:?[ \t]*)$",
)
_RECORD = re.compile(r"\b(?:DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b|\[(?:error|exception|critical)\b|^E\d{4} ")
"""In the line that a logger prints above a traceback."""
_FOOT_OF_A_BOX = "\u2570\u2500"
"""How a traceback ends that ``rich`` has drawn."""
_RAISE = re.compile(r"(?:^|: )raise\b")
_OF_A_GROUP = re.compile(r" {1,40}[|+] ?(?!-)")
_BOX = ("\u256d", "\u2502", "\u2570")
"""How lines of such a traceback begin."""
_FRAME = re.compile(
    r'File "(?P<file>[^"\n]{1,500})", line \d+, in (?P<function>\S{1,200})'
    r"|^\u2502 .{0,3}(?P<boxed>\S{1,500}):\d+ in (?P<there>\S{1,200})"
)
_OF_OTHERS = re.compile(r"[/\\](?:site|dist)-packages[/\\]|[/\\]lib[/\\]python\d|^<(?!stdin|string)")


class Link(StrEnum):
    """How an exception came up from the one before."""

    HANDLING = "During handling of the above exception"
    """Perhaps because of it, perhaps for a reason of its own."""
    CAUSE = "The above exception was the direct cause"


@dataclass(frozen=True, slots=True)
class Raised:
    """One exception: where it stands, who printed it, ``Type: message`` with what follows indented, the user's frame.

    ``frame`` is the deepest one in the user's own code as ``file:function``, ``source`` the line there.
    """

    at: int
    end: int
    stream: str
    text: str
    frame: str = ""
    source: str = ""
    deliberate: bool = False
    """Whether it was raised by a ``raise``, and not by what Python does."""
    link: Link | None = None
    """What it has to do with the exception before it in its stream."""
    logged: bool = False
    """Whether a logger printed it: then the program had caught it."""

    @property
    def line(self) -> str:
        """Its first line."""
        return self.text.partition("\n")[0]


def raised(text: str) -> list[Raised]:
    """Find the last exceptions that a log has tracebacks of, in order; one whose head was cut off counts too."""
    found: list[Raised] = []
    done: dict[str, int] = {}
    for at in sorted(_last_places(text, '  File "') + _last_places(text, _FOOT_OF_A_BOX)):
        begin = text.rfind("\n", 0, at) + 1
        stream, _ = split_rank(text[begin : begin + _LINE_MAX])
        if begin < done.get(stream, 0):
            continue
        exception, done[stream] = _end_of_traceback(text, begin, stream)
        if exception:
            found.append(exception)
    return sorted(found, key=lambda each: each.at)[-KEPT_MAX:]


def said(text: str) -> list[Raised]:
    """Find the exceptions in what a program said of its own end: ``Type: message``, and perhaps a traceback."""
    first = _raised_in(text.partition("\n")[0])
    found = raised(text)
    if first is None or (found and found[-1].line.endswith(first)):
        return found
    there = found[-1] if found else Raised(0, 0, "", "")
    return [Raised(0, len(first), "", text[:_LINE_MAX], there.frame, there.source, there.deliberate)]


def _last_places(text: str, word: str) -> list[int]:
    places: list[int] = []
    at = len(text)
    while len(places) < FRAMES_MAX and (at := text.rfind(word, 0, at)) >= 0:
        places.append(at)
    return places[::-1]


def _end_of_traceback(text: str, begin: int, stream: str) -> tuple[Raised | None, int]:
    """Walk from a frame down to the line that tells the exception, and say how far that was; others print between."""
    end = begin
    for _ in range(FORWARD_LINES_MAX):
        begin = end
        if begin >= len(text):
            break
        stop = text.find("\n", begin)
        stop = len(text) if stop < 0 else stop
        end = stop + 1
        whose, line = _split(text, begin, stop)
        if whose != stream or not line.strip() or line.startswith(("  ", "\t", *_BOX)):
            continue
        if what := _raised_in(line):
            before = _before(text, begin, stream)
            more = what + _more(text, stop, stream)
            return Raised(
                begin, end, stream, more, *_deepest(before.lines), link=before.link, logged=before.logged
            ), end
    return None, end


def _split(text: str, begin: int, end: int) -> tuple[str, str]:
    """Who printed a line, and the line without that and without the frame that exception groups are drawn with."""
    whose, line = split_rank(text[begin : min(end, begin + _LINE_MAX)])
    return whose, _OF_A_GROUP.sub("", line, count=1) if line.startswith(" ") else line


def _raised_in(line: str) -> str | None:
    """The exception that a line tells of, as ``Type: message``."""
    match = _RAISED.match(line)
    if match is None:
        return None
    if (match["name"] or match["small"]).isupper():
        return None
    return match["type"] + match["rest"].rstrip()


@dataclass(slots=True)
class _Frames:
    """What stands before an exception in its stream, nearest first, up to the head of its traceback."""

    lines: list[str]
    link: Link | None = None
    logged: bool = False


def _before(text: str, start: int, stream: str) -> _Frames:
    frames, end, in_head = _Frames([]), start - 1, False
    for _ in range(BACK_LINES_MAX):
        if end < 0:
            break
        begin = text.rfind("\n", 0, end) + 1
        whose, line = _split(text, begin, end)
        end = begin - 1
        if whose != stream:
            continue
        if in_head:
            if line.strip():
                frames.link = next((link for link in Link if line.startswith(link)), None)
                frames.logged = bool(_RECORD.search(line[:120]))
                break
        elif HEAD in line:
            in_head = True
        elif line.startswith(("  ", "\t", *_BOX)) or not line.strip():
            frames.lines.append(line)
    return frames


def _deepest(lines: list[str]) -> tuple[str, str, bool]:
    """The deepest frame of the user's own code, its source, and if by a raise; the lines come nearest first."""
    frames = [(place, frame) for place, line in enumerate(lines) if (frame := _FRAME.search(line))]
    if not frames:
        return "", "", False
    own, frame = next((each for each in frames if not _OF_OTHERS.search(_file(each[1]))), frames[0])
    name = _file(frame).replace("\\", "/").rpartition("/")[2]
    function = frame["function"] or frame["there"]
    return f"{name}:{function}", _source(lines, own), bool(_RAISE.search(_source(lines, frames[0][0])))


def _file(frame: re.Match[str]) -> str:
    return frame["file"] or frame["boxed"]


def _source(lines: list[str], place: int) -> str:
    """The line of code below a frame, without the marks below that."""
    below = reversed(lines[max(0, place - 3) : place])
    return next((line.strip() for line in below if line.strip(" ^~") and not line.startswith(_BOX)), "")


def _more(text: str, end: int, stream: str) -> str:
    """What a message has to say on further lines, which are indented."""
    more = ""
    for _ in range(MORE_LINES_MAX):
        begin = end + 1
        if begin >= len(text):
            break
        end = text.find("\n", begin)
        end = len(text) if end < 0 else end
        whose, line = _split(text, begin, end)
        if whose != stream or not line.startswith((" ", "\t")):
            break
        more += "\n" + line
    return more
