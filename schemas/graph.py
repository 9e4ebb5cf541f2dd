"""A pipeline as a graph, for a view that draws it."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct, field

from schemas.queue import Queue
from schemas.states import StageStatus


class GraphNode(Struct, kw_only=True):
    """A stage; ``level`` is its distance from the roots along the longest way."""

    name: str
    task: str
    queue: Queue
    status: StageStatus
    task_id: UUID
    level: int = 0
    attempt: int
    progress: float | None


class GraphEdge(Struct, kw_only=True):
    """The stage ``to`` waits for the stage ``from``."""

    source: str = field(name="from")
    target: str = field(name="to")


class PipelineGraph(Struct, kw_only=True):
    """Nodes in the order of submission, and the names of each level from the roots on."""

    nodes: list[GraphNode]
    edges: list[GraphEdge]
    levels: Annotated[list[list[str]], Meta(description="stage names; each level waits for earlier ones only")] = []
