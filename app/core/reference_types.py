"""Does a reference ask for something that the other stage's task declares in its result, of a type that will do?

What cannot be told from the declarations is left to the start of the stage, when the value is there.
"""

from collections.abc import Iterator, Mapping, Sequence

from app.core import shapes
from app.core.pointer import pointer
from app.core.references import Reference, parse
from app.core.wording import did_you_mean, quoted
from schemas.pipeline import PipelineSpec
from schemas.problem import Fault
from schemas.task import TaskType


def reference_faults(
    spec: PipelineSpec,
    task_types: Mapping[str, TaskType],
    written: Sequence[Mapping[str, str]],
) -> Iterator[Fault]:
    """Malformed references and those that the declared results cannot serve. ``written`` has those of each stage."""
    tasks = {stage.name: task_types.get(stage.task) for stage in spec.stages}
    for position, stage in enumerate(spec.stages):
        for param, text in written[position].items():
            detail = _complaint(param, text, task_types.get(stage.task), tasks)
            if detail:
                yield Fault("reference_invalid", detail, pointer("stages", position, "params", param))


def _complaint(param: str, text: str, taker: TaskType | None, tasks: Mapping[str, TaskType | None]) -> str | None:
    reference = parse(text)
    if reference is None:
        return f"{quoted(text)} is not a reference; write stages.<stage>.result.<key>"
    giver = tasks.get(reference.stage)
    if giver is None or taker is None:
        return None
    offered = shapes.at(giver.result_schema, reference.path)
    if offered is False:
        return _not_offered(reference, giver)
    wanted = shapes.at(taker.params_schema, [param])
    if shapes.fits(offered, wanted):
        return None
    have, want = shapes.plain_type(offered), shapes.plain_type(wanted)
    return f"{taker.name} wants {quoted(param)} to be of type {want}, and {quoted(text)} is of type {have}"


def _not_offered(reference: Reference, giver: TaskType) -> str:
    guess = did_you_mean(reference.path[0], shapes.properties(giver.result_schema))
    return f"the result of {giver.name} has no {quoted('.'.join(reference.path))}{guess}"
