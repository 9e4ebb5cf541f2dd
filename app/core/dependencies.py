"""Who waits for whom: edges as the three places of a request write them, and what can be wrong with them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from app.core.graph import duplicates, find_cycle
from app.core.pointer import pointer
from app.core.references import parse
from app.core.wording import did_you_mean, quoted
from schemas import limits
from schemas.pipeline import PipelineSpec
from schemas.problem import Fault

CYCLE_SHOWN_MAX = 10


class Edge(NamedTuple):
    """``stage`` waits for ``dependency``, as written at ``pointer``."""

    stage: str
    dependency: str
    pointer: str


def edges_of(spec: PipelineSpec, written: Sequence[Mapping[str, str]]) -> Iterator[Edge]:
    """Every edge of the request: from ``depends_on``, from ``dependencies``, then those that references imply.

    ``written`` has the references of each stage. Stage names need no escaping in a pointer: their pattern sees to it.
    """
    for position, stage in enumerate(spec.stages):
        for index, dependency in enumerate(stage.depends_on):
            yield Edge(stage.name, dependency, f"/stages/{position}/depends_on/{index}")
    for name, dependencies in spec.dependencies.items():
        for index, dependency in enumerate(dependencies):
            yield Edge(name, dependency, f"/dependencies/{name}/{index}")
    for position, stage in enumerate(spec.stages):
        for param, text in written[position].items():
            reference = parse(text)
            if reference:
                yield Edge(stage.name, reference.stage, pointer("stages", position, "params", param))


def merged(names: Iterable[str], found: Iterable[Edge]) -> dict[str, list[str]]:
    """``{stage: what it waits for}``, each dependency once, in the order in which they were first written."""
    waits_for: dict[str, dict[str, None]] = {name: {} for name in names}
    for edge in found:
        waits_for[edge.stage][edge.dependency] = None
    return {name: list(dependencies) for name, dependencies in waits_for.items()}


def dependency_faults(spec: PipelineSpec, found: Sequence[Edge]) -> Iterator[Fault]:
    """Everything that keeps the stages and their edges from being a DAG."""
    names = {stage.name: position for position, stage in enumerate(spec.stages)}
    yield from _duplicate_stages(spec)
    yield from _unknown_keys(spec, names)
    yield from _bad_ends(found, names)
    sound = [edge for edge in found if edge.stage in names and edge.dependency in names and not _loops(edge)]
    waits_for = merged(names, sound)
    yield from _too_many(waits_for, names)
    yield from _cycle(waits_for, sound)


def _duplicate_stages(spec: PipelineSpec) -> Iterator[Fault]:
    for position in duplicates(stage.name for stage in spec.stages):
        detail = f"another stage is already named {quoted(spec.stages[position].name)}"
        yield Fault("duplicate_stage", detail, f"/stages/{position}/name")


def _unknown_keys(spec: PipelineSpec, names: Mapping[str, int]) -> Iterator[Fault]:
    for name in spec.dependencies:
        if name not in names:
            yield Fault("unknown_stage", _no_stage(name, names), f"/dependencies/{name}")


def _bad_ends(found: Iterable[Edge], names: Mapping[str, int]) -> Iterator[Fault]:
    for edge in found:
        if _loops(edge):
            yield Fault("self_dependency", f"stage {quoted(edge.stage)} waits for itself", edge.pointer)
        elif edge.dependency not in names:
            yield Fault("unknown_stage", _no_stage(edge.dependency, names), edge.pointer)


def _too_many(waits_for: Mapping[str, Sequence[str]], names: Mapping[str, int]) -> Iterator[Fault]:
    for name, dependencies in waits_for.items():
        if len(dependencies) > limits.DEPENDENCIES_PER_STAGE_MAX:
            detail = f"{len(dependencies)} dependencies; {limits.DEPENDENCIES_PER_STAGE_MAX} is the most for one stage"
            yield Fault("too_many_dependencies", detail, f"/stages/{names[name]}")


def _cycle(waits_for: Mapping[str, Sequence[str]], sound: Iterable[Edge]) -> Iterator[Fault]:
    cycle = find_cycle(waits_for)
    if cycle:
        closing = next(edge for edge in sound if (edge.dependency, edge.stage) == (cycle[-2], cycle[-1]))
        yield Fault("cycle", f"these stages wait for each other: {_drawn(cycle)}", closing.pointer)


def _drawn(cycle: Sequence[str]) -> str:
    if len(cycle) <= CYCLE_SHOWN_MAX:
        return " → ".join(cycle)
    hidden = len(cycle) - CYCLE_SHOWN_MAX
    return " → ".join([*cycle[: CYCLE_SHOWN_MAX - 1], f"({hidden} more)", cycle[-1]])


def _loops(edge: Edge) -> bool:
    return edge.stage == edge.dependency


def _no_stage(name: str, names: Mapping[str, int]) -> str:
    return f"no stage is named {quoted(name)}{did_you_mean(name, names.keys())}"
