"""Small numbers out of a large one: hypothesis draws one in a tenth of the time that it would take for ten."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")
PLACES = 16


@dataclass
class Numbers:
    """Digits of a number, each to a base of its own; those of zero are all zero, the plainest choice."""

    rest: int
    drawn: ClassVar[st.SearchStrategy[bytes]] = st.binary(min_size=8, max_size=8)  # all as likely; integers are not

    @classmethod
    def of(cls, drawn: bytes) -> "Numbers":
        """Those that are hidden in what was drawn."""
        return cls(int.from_bytes(drawn, "little"))

    def below(self, base: int) -> int:
        """The next digit."""
        self.rest, digit = divmod(self.rest, base)
        return digit

    def place(self) -> int:
        """A place in a list of any length."""
        return self.below(PLACES)

    def one_of(self, choices: Sequence[T]) -> T:
        """One of the choices."""
        return choices[self.below(len(choices))]

    def some(self, choose: Callable[[], T]) -> list[T]:
        """One to three of something."""
        return [choose() for _ in range(1 + self.below(3))]

    def often(self) -> bool:
        """Every second time."""
        return self.below(2) == 1

    def sometimes(self) -> bool:
        """Every third time."""
        return self.below(3) == 1

    def rarely(self) -> bool:
        """Every fourth time."""
        return self.below(4) == 1
