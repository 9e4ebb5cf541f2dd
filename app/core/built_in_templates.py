"""The templates that come with Headway. A change of one is a new version."""

from typing import Any

import msgspec

from schemas.template import Template
from schemas.training import CleanupParams, PreprocessParams, TrainParams

UUID_PATTERN = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


def _of(params: Any, *, without: str = "") -> dict[str, Any]:
    """The properties of a task's params; what is not given is left to the task's own defaults."""
    properties = msgspec.json.schema(params)["$defs"][params.__name__]["properties"]
    return {
        name: {key: value for key, value in schema.items() if key != "default"}
        for name, schema in properties.items()
        if name != without
    }


_CONFIG = _of(TrainParams, without="dataset")
_DATASET = {"from": "stages.preprocess.result.dataset"}

TRAINING = Template(
    name="training",
    version=1,
    description="Prepare a dataset, train a model on it, evaluate its best checkpoint, keep the best n checkpoints.",
    built_in=True,
    created_at=None,
    params_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["dataset"],
        "properties": {
            "job_uuid": {
                "type": "string",
                "pattern": UUID_PATTERN,
                "description": "the uuid of the pipeline; submitting it again gives the same pipeline",
            },
            "dataset": _of(PreprocessParams)["dataset"],
            "training_config": {
                "type": "object",
                "additionalProperties": False,
                "properties": _CONFIG,
                "default": {},
                "description": "params of train_model",
            },
            "eval_dataset": {
                "type": "string",
                "pattern": r"^/(?!.*\.(csv|parquet|jsonl|ndjson)$)",
                "maxLength": 4_096,
                "description": "a directory that preprocess_dataset made, of the same features and classes; "
                "the held-out rows of the dataset unless given",
                "default": _DATASET,
            },
            "keep_best_n": {**_of(CleanupParams)["keep_best_n"], "default": 3},
        },
    },
    pipeline={
        "name": "training",
        "uuid": {"from": "params.job_uuid"},
        "stages": [
            {
                "name": "preprocess",
                "task": "preprocess_dataset",
                "params": {"dataset": {"from": "params.dataset"}},
            },
            {
                "name": "train",
                "task": "train_model",
                "params": {
                    "dataset": _DATASET,
                    **{name: {"from": f"params.training_config.{name}"} for name in _CONFIG},
                },
                "max_retries": 2,
            },
            {
                "name": "evaluate",
                "task": "run_evaluation",
                "params": {
                    "dataset": {"from": "params.eval_dataset"},
                    "checkpoint": {"from": "stages.train.result.best_checkpoint"},
                },
            },
            {
                "name": "cleanup",
                "task": "cleanup_checkpoints",
                "params": {"stage": "train", "keep_best_n": {"from": "params.keep_best_n"}},
                "depends_on": ["evaluate"],
            },
        ],
    },
)

BUILT_IN = {template.name: template for template in (TRAINING,)}
