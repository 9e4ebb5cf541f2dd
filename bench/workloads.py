"""The shapes that are measured, as stages and what each waits for, and the task that each stage runs."""

from collections.abc import Callable
from dataclasses import dataclass

Shape = dict[str, list[str]]


@dataclass(frozen=True)
class Workload:
    """A shape whose stages all run one task; ``about`` says it in words."""

    about: str
    shape: Callable[[], Shape]
    task: str = "noop"


def chain(length: int = 100) -> Shape:
    """One stage after the other: what it costs to get from one to the next."""
    return {f"s{n}": [f"s{n - 1}"] if n else [] for n in range(length)}


def fan(width: int = 1_000) -> Shape:
    """A root, ``width`` stages that wait for it, and one that waits for them all."""
    children: Shape = {f"child-{n}": ["root"] for n in range(width)}
    return {"root": [], **children, "join": list(children)}


def diamonds(count: int = 250) -> Shape:
    """``count`` times A → B, C → D, side by side."""
    shape: Shape = {}
    for n in range(count):
        shape |= {f"a{n}": [], f"b{n}": [f"a{n}"], f"c{n}": [f"a{n}"], f"d{n}": [f"b{n}", f"c{n}"]}
    return shape


WORKLOADS = {
    "chain-100": Workload("a hundred stages, one after the other", chain),
    "fan-1000": Workload("a root, a thousand children, one that waits for them all", fan),
    "diamonds-250": Workload("250 times A → B, C → D, side by side", diamonds),
    "diamonds-2500": Workload("2,500 times A → B, C → D, side by side", lambda: diamonds(2_500)),
    "light-40": Workload("forty light tasks in a row", lambda: chain(40), "fibonacci"),
}
"""``light-40``: fibonacci(10) each, as in the public benchmark of workflow engines."""
