"""Graphs: a pipeline as a view draws it."""

from uuid import UUID

from app.core.graph import levels
from app.db import pipelines as db
from app.db.pool import Pool, connection
from app.errors import NotFound
from schemas.graph import PipelineGraph


async def get(pool: Pool, uuid: UUID) -> PipelineGraph:
    """The stages of a pipeline, who waits for whom, and on which level each stands.

    Raises:
        NotFound: no such pipeline.

    """
    async with connection(pool) as c:
        graph = await db.graph(c, uuid)
    if graph is None:
        raise NotFound(f"There is no pipeline {uuid}.")
    waits_for: dict[str, list[str]] = {node.name: [] for node in graph.nodes}
    for edge in graph.edges:
        waits_for[edge.target].append(edge.source)
    graph.levels = levels(waits_for)
    level_of = {name: level for level, names in enumerate(graph.levels) for name in names}
    for node in graph.nodes:
        node.level = level_of[node.name]
    return graph
