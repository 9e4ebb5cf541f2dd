"""An inline task: tell a webhook. HEADWAY_TASK_MODULES=notify_task, with this folder on PYTHONPATH."""

import httpx2
from msgspec import Struct

from workers.tasks import NotRetryable, TaskContext, task


class Notice(Struct, forbid_unknown_fields=True):
    """What to tell, and where."""

    url: str
    text: str


class Delivery(Struct, forbid_unknown_fields=True):
    """How the webhook answered."""

    status: int


@task(queue="maintenance")
async def notify(context: TaskContext, params: Notice) -> Delivery:
    """Post a notice."""
    body = {"pipeline": context.pipeline_name, "text": params.text, "id": str(context.task_id)}
    async with httpx2.AsyncClient(timeout=10) as client:
        answer = await client.post(params.url, json=body)
    if answer.is_client_error:
        raise NotRetryable(f"{params.url} answered {answer.status_code}")
    return Delivery(answer.raise_for_status().status_code)
