"""The three shapes that are measured, as stages and what each waits for. Every stage is a ``noop``."""

from collections.abc import Callable

Shape = dict[str, list[str]]


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


WORKLOADS: dict[str, Callable[[], Shape]] = {"chain-100": chain, "fan-1000": fan, "diamonds-250": diamonds}
