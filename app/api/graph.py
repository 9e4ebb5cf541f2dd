"""``/api/v1/pipelines/{uuid}/graph``: a pipeline as nodes, edges and levels."""

from uuid import UUID

from litestar import get
from litestar.params import FromPath

from app.api.state import ApiState
from app.services import graph
from schemas.graph import PipelineGraph


@get("/{uuid:uuid}/graph", operation_id="getPipelineGraph", summary="Draw a pipeline")
async def get_pipeline_graph(state: ApiState, uuid: FromPath[UUID]) -> PipelineGraph:
    """The stages with their statuses, who waits for whom, and the levels to draw them in."""
    return await graph.get(state.pool, uuid)
