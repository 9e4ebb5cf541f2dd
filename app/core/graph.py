"""Is it a DAG, what comes first, who waits for whom.

A graph is written as the stages write it: ``{stage: the stages it depends on}``, every stage being a key. Nothing here
recurses, so a chain of 10,000 stages is as safe as one of three.
"""

from collections.abc import Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

Graph = Mapping[str, Collection[str]]


def find_cycle(graph: Graph) -> list[str] | None:
    """One cycle in the order of the flow, its first stage repeated at the end (``[a, b, a]``), or None for a DAG.

    It begins with the member that ``graph`` names first, so that equal requests get equal answers.
    """
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        members: list[str] = error.args[1][1:]
        order = {stage: position for position, stage in enumerate(graph)}
        first = members.index(min(members, key=order.__getitem__))
        return [*members[first:], *members[: first + 1]]
    return None


def roots(graph: Graph) -> list[str]:
    """The stages that wait for nothing."""
    return [stage for stage, dependencies in graph.items() if not dependencies]


def levels(graph: Graph) -> list[list[str]]:
    """The stages by distance from the roots: each in the first level after all of its dependencies.

    Raises graphlib.CycleError when the graph is no DAG.
    """
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    order = {stage: position for position, stage in enumerate(graph)}
    found = []
    while sorter.is_active():
        ready = sorter.get_ready()
        sorter.done(*ready)
        found.append(sorted(ready, key=order.__getitem__))
    return found


def dependents(graph: Graph) -> dict[str, list[str]]:
    """The other way round: ``{stage: the stages that wait for it}``."""
    waiting: dict[str, list[str]] = {stage: [] for stage in graph}
    for stage, dependencies in graph.items():
        for dependency in dependencies:
            waiting[dependency].append(stage)
    return waiting


def duplicates(names: Iterable[str]) -> list[int]:
    """The positions of names that an earlier position has already taken."""
    seen: set[str] = set()
    repeated = []
    for position, name in enumerate(names):
        if name in seen:
            repeated.append(position)
        seen.add(name)
    return repeated
