"""What a rule is: which text points to which category, and where it may stand to count."""

import re
from dataclasses import dataclass
from enum import IntEnum

from schemas.diagnosis import Category, Outlook


class Reach(IntEnum):
    """Where a line must stand so that a verdict may rest on it. Each takes in those before it."""

    EXCEPTION = 0
    """It ends a traceback, or is what the program said of its own end: what it only printed may be about anything."""
    LAST = 1
    """It is among the last lines of the log, as the complaint of a shell is."""
    ANYWHERE = 2
    """Wherever it is printed it is bad news: nobody says so in passing."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern with a cheap test before it: one of ``triggers``, in small letters, must be in the text.

    A cascade only follows from something else, and counts when that is not found. ``outlook`` and ``remedy`` are for
    where the rule knows more than its category; the remedy may name groups of the pattern.
    """

    category: Category
    pattern: re.Pattern[str]
    triggers: tuple[str, ...]
    reach: Reach = Reach.EXCEPTION
    cascade: bool = False
    outlook: Outlook | None = None
    remedy: str | None = None
    near: re.Pattern[str] | None = None
    """What must be in the line of code, or in the name of the function, that an exception came from."""


def rule(
    category: Category,
    pattern: str,
    *triggers: str,
    reach: Reach = Reach.EXCEPTION,
    cascade: bool = False,
    outlook: Outlook | None = None,
    remedy: str | None = None,
    near: str | None = None,
) -> Rule:
    """Make a rule; without triggers the pattern, then a plain text in small letters, is its own."""
    compiled = re.compile(pattern, re.IGNORECASE)
    around = re.compile(near, re.IGNORECASE) if near else None
    return Rule(category, compiled, triggers or (pattern.lower(),), reach, cascade, outlook, remedy, around)
