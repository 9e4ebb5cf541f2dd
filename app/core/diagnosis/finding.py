"""One thing in a text that points to a category."""

from dataclasses import dataclass

from app.core.diagnosis.exceptions import Raised
from app.core.diagnosis.rule import Reach, Rule
from schemas.diagnosis import Category


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
    def is_complaint(self) -> bool:
        """Whether it counts only among the last lines."""
        return self.exception is None and self.rule is not None and self.rule.reach is Reach.LAST

    @property
    def is_generic(self) -> bool:
        """Whether no rule knows it."""
        return self.rule is None
