"""``headway demo``: the main job, start to end, on real data."""

import asyncio
from pathlib import Path
from typing import Any

from app.client import Client
from app.commands import exits
from app.commands.follow import watch
from app.commands.running import DataDir, Running, read
from app.commands.stack import Stack
from app.commands.terminal import print_line
from app.commands.up import banner, say, with_stack
from app.commands.wording import duration
from app.settings import Settings, load_settings
from schemas.pipeline import Pipeline
from schemas.states import PipelineStatus

KEEP_BEST_N = 3


async def demo(*, data_dir: DataDir = None, port: int | None = None, keep: bool = False) -> int:
    """Train a model through a pipeline: preprocess, train, evaluate, clean up checkpoints; exits 0 if that worked.

    Uses the 'headway up' that runs on the data directory, else brings its own on a free port.

    Args:
        data_dir: Where all data lies; HEADWAY_DATA_DIR, default ./.headway.
        port: Port of the API, if it brings its own; default a free one.
        keep: Stay up afterwards, until Ctrl-C.

    """
    settings = load_settings(data_dir=data_dir, port=port)
    if running := read(settings.data_dir):
        say(f"using the Headway at {running.url}")
        return await _show(running.url, settings, running)
    if "port" not in settings.model_fields_set:
        settings = settings.model_copy(update={"port": 0})

    async def work(stack: Stack) -> int:
        code = await _show(stack.url, settings, read(stack.data_dir))
        if keep:
            print_line(banner(stack))
            await asyncio.Event().wait()
        return code

    return await with_stack(settings, work, interrupted=exits.DETACHED)


def training_pipeline() -> dict[str, Any]:
    """The pipeline of the demonstration: 1,797 real handwritten digits, a network that learns to read them."""
    dataset = {"from": "stages.preprocess.result.dataset"}
    checkpoint = {"from": "stages.train.result.best_checkpoint"}
    # Without the pauses the training would be over before anybody has seen it.
    training = {"dataset": dataset, "seed": 7, "epoch_delay_s": 0.1}
    cleanup = {"stage": "train", "keep_best_n": KEEP_BEST_N}
    return {
        "name": "demo-digits",
        "description": "Read handwritten digits: preprocess, train, evaluate, clean up checkpoints.",
        "labels": {"demo": "digits"},
        "start": True,
        "stages": [
            {"name": "preprocess", "task": "preprocess_dataset", "params": {"dataset": "builtin:digits"}},
            {"name": "train", "task": "train_model", "params": training, "max_retries": 2},
            {"name": "evaluate", "task": "run_evaluation", "params": {"dataset": dataset, "checkpoint": checkpoint}},
            {"name": "cleanup", "task": "cleanup_checkpoints", "params": cleanup, "depends_on": ["evaluate"]},
        ],
    }


async def _show(url: str, settings: Settings, running: Running | None) -> int:
    token = settings.api_token.get_secret_value() if settings.api_token else None
    async with Client(url, token) as client:
        pipeline = await client.pipelines.create(training_pipeline())
        say(f"pipeline {pipeline.uuid}")
        code = await watch(client, pipeline.uuid, "table")
        pipeline = await client.pipelines.get(pipeline.uuid)
    if pipeline.status is PipelineStatus.COMPLETED:
        data_dir = Path(running.data_dir) if running else settings.data_dir.resolve()
        print_line(_summary(pipeline, data_dir))
    return code


def _summary(pipeline: Pipeline, data_dir: Path) -> str:
    evaluation, cleanup = pipeline.results["evaluate"], pipeline.results["cleanup"]
    lines = ["", f"pipeline        {pipeline.uuid}  {pipeline.status}"]
    for stage in pipeline.stages:
        if stage.started_at and stage.finished_at:
            took = duration((stage.finished_at - stage.started_at).total_seconds())
            lines.append(f"  {stage.name:<14}{took}  ({stage.task}, attempt {stage.attempt})")
    lines += [
        f"accuracy        {evaluation['accuracy']:.4f} on {evaluation['samples']} held-out images",
        f"macro F1        {evaluation['macro_f1']:.4f}",
        f"checkpoints     the best {cleanup['kept_count']} kept, {cleanup['deleted_count']} deleted",
        *(f"  {path}" for path in cleanup["kept"]),
        f"artifacts       {data_dir / 'artifacts' / str(pipeline.uuid)}",
    ]
    return "\n".join(lines)
