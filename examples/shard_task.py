"""A process task: cut a file into shards. HEADWAY_TASK_MODULES=shard_task, with this folder on PYTHONPATH."""

from itertools import islice
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from workers.tasks import NotRetryable, TaskContext, task


class Source(Struct, forbid_unknown_fields=True):
    """A JSON Lines file."""

    path: str
    rows_per_shard: Annotated[int, Meta(ge=1)] = 1000


class Shards(Struct, forbid_unknown_fields=True):
    """Files in a directory."""

    directory: str
    files: list[str]


@task(queue="preprocessing")
def shard(context: TaskContext, params: Source) -> Shards:
    """Cut a file into shards of so many rows."""
    source = Path(params.path)
    if not source.is_file():
        raise NotRetryable(f"there is no file {source}")
    shards = Shards(str(context.run_dir), [])
    with source.open("rb") as rows:
        parts = iter(lambda: list(islice(rows, params.rows_per_shard)), [])
        for number, part in enumerate(parts):
            file = context.run_dir / f"shard-{number:05}.jsonl"
            file.write_bytes(b"".join(part))
            shards.files.append(str(file))
            context.progress(rows.tell(), source.stat().st_size)
    return shards
