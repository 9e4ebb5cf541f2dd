"""One example for each operation of the OpenAPI document; ``tests/api`` decodes each as the type that it stands for."""

from typing import Any

_UUID = "0197d3a0-5c1e-7b52-9c40-3f6a8d21e0b7"
_OTHER = "0197d3a0-5c20-7e04-8b1d-6f2a9c3e5d70"
_PREPARE, _TRAIN = "0197d3a0-5c1f-7c11-8a6e-52b0c9d4f713", "0197d3a0-5c1f-7d93-b2f8-e41a07c65d28"
_AT = "2026-11-24T03:14:15.926535Z"

PIPELINE_SPEC: dict[str, Any] = {
    "name": "digits",
    "labels": {"team": "vision"},
    "start": True,
    "stages": [
        {"name": "prepare", "task": "preprocess_dataset", "params": {"dataset": "builtin:digits"}},
        {
            "name": "train",
            "task": "train_model",
            "params": {"dataset": {"from": "stages.prepare.result.dataset"}, "epochs": 5},
            "max_retries": 2,
        },
    ],
}
PIPELINE_PATCH: dict[str, Any] = {"priority": 9, "labels": {"team": "vision", "run": "nightly"}}
BULK_CANCEL: dict[str, Any] = {"filter": {"labels": {"team": "vision"}}}
BULK_RETRY: dict[str, Any] = {"filter": {"status": ["failed"], "created_after": "2026-11-24T00:00:00Z"}}
BULK_DELETE: dict[str, Any] = {"filter": {"uuids": [_UUID, _OTHER]}}
_SUMMARY: dict[str, Any] = {
    "uuid": _UUID,
    "name": "digits",
    "description": "",
    "project": "default",
    "status": "running",
    "priority": 5,
    "labels": {"team": "vision"},
    "error": None,
    "created_at": _AT,
    "started_at": _AT,
    "finished_at": None,
}
_WAITING: dict[str, Any] = {
    "attempt": 0,
    "depends_on": [],
    "progress": None,
    "result": None,
    "error": None,
    "diagnosis": None,
    "worker": None,
    "retry_at": None,
    "queued_at": None,
    "started_at": None,
    "finished_at": None,
}
_PIPELINE: dict[str, Any] = {
    **_SUMMARY,
    "stages": [
        {
            **_WAITING,
            "name": "prepare",
            "task": "preprocess_dataset",
            "queue": "preprocessing",
            "status": "queued",
            "task_id": _PREPARE,
            "params": {"dataset": "builtin:digits"},
            "waiting_reason": "waits for a free slot on the queue preprocessing",
            "queued_at": _AT,
        },
        {
            **_WAITING,
            "name": "train",
            "task": "train_model",
            "queue": "training",
            "status": "pending",
            "task_id": _TRAIN,
            "params": {"dataset": {"from": "stages.prepare.result.dataset"}, "epochs": 5},
            "depends_on": ["prepare"],
            "waiting_reason": "waits for prepare",
        },
    ],
    "stage_tasks": {"prepare": _PREPARE, "train": _TRAIN},
    "results": {},
}
_SOURCE = f"/api/v1/pipelines/{_UUID}"
_EVENT = f'{{"id":"2","source":"{_SOURCE}","type":"pipeline.started","subject":null,"time":"{_AT}","data":{{}}}}'

_TASK: dict[str, Any] = {
    **_WAITING,
    "name": "train",
    "task": "train_model",
    "queue": "training",
    "status": "running",
    "attempt": 1,
    "task_id": _TRAIN,
    "params": {"dataset": {"from": "stages.prepare.result.dataset"}, "epochs": 5},
    "depends_on": ["prepare"],
    "progress": 0.4,
    "worker": "gpu-7:4711",
    "waiting_reason": None,
    "queued_at": _AT,
    "started_at": _AT,
    "pipeline": _UUID,
    "pipeline_name": "digits",
    "priority": 5,
}
_ATTEMPT: dict[str, Any] = {
    "attempt": 1,
    "outcome": None,
    "error": None,
    "worker": "gpu-7:4711",
    "executor": "local",
    "started_at": _AT,
    "finished_at": None,
}

_NOT_ENDED: dict[str, Any] = {
    "type": "/problems/state_conflict",
    "title": "The call does not fit the present state",
    "status": 409,
    "detail": "The pipeline is running; cancel it and wait for its end before deleting it.",
    "instance": f"/api/v1/pipelines/{_OTHER}",
    "code": "state_conflict",
    "request_id": "7f1d0c6b9a5e4d07a5f8e6b1c2d3e4f5",
}


def _bulk(*items: dict[str, Any]) -> dict[str, Any]:
    return {"matched": len(items), "more": False, "next_cursor": None, "items": list(items)}


_WHOLE_TASK: dict[str, Any] = {
    **_TASK,
    "max_retries": 2,
    "retry_delay": 60.0,
    "timeout": 86400.0,
    "attempts": [_ATTEMPT],
}
TASK_SPEC: dict[str, Any] = {"task": "run_command", "params": {"argv": ["echo", "hello"]}, "max_retries": 2}
PURGE_SPEC: dict[str, Any] = {"queue": "maintenance"}
_SLOTS: dict[str, Any] = {"process": {"total": 4, "busy": 1}, "inline": {"total": 100, "busy": 0}}
_QUEUES: list[dict[str, Any]] = [
    {"name": "training", "priority": 10, "paused": False, "queued": 3, "running": 1, "oldest_age_s": 12.5},
    {"name": "evaluation", "priority": 7, "paused": False, "queued": 0, "running": 0, "oldest_age_s": None},
    {"name": "default", "priority": 5, "paused": False, "queued": 0, "running": 0, "oldest_age_s": None},
    {"name": "preprocessing", "priority": 3, "paused": False, "queued": 0, "running": 0, "oldest_age_s": None},
    {"name": "maintenance", "priority": 1, "paused": False, "queued": 0, "running": 0, "oldest_age_s": None},
]
_CHECKPOINT: dict[str, Any] = {
    "id": 42,
    "pipeline": _UUID,
    "stage": "train",
    "task_id": _TRAIN,
    "attempt": 1,
    "step": 3000,
    "path": "/srv/headway/artifacts/…/train/1/checkpoints/step-0000003000",
    "metrics": {"val_loss": 0.24},
    "bytes": 812340,
    "state": "complete",
    "reason": None,
    "pinned": False,
    "created_at": _AT,
}
_COUNTS: dict[str, int] = {"queued": 3, "running": 1, "completed": 41, "failed": 1}

ANSWERS: dict[str, Any] = {
    "createPipeline": _PIPELINE,
    "listPipelines": {"items": [_SUMMARY], "next_cursor": None},
    "getPipeline": _PIPELINE,
    "patchPipeline": {**_PIPELINE, **PIPELINE_PATCH},
    "getPipelineStatus": {
        "uuid": _UUID,
        "status": "running",
        "progress": 0.0,
        "counts": {"queued": 1, "pending": 1},
        "stages": {"prepare": "queued", "train": "pending"},
    },
    "getPipelineGraph": {
        "nodes": [
            {
                "name": "prepare",
                "task": "preprocess_dataset",
                "queue": "preprocessing",
                "status": "queued",
                "task_id": _PREPARE,
                "level": 0,
                "attempt": 0,
                "progress": None,
            },
            {
                "name": "train",
                "task": "train_model",
                "queue": "training",
                "status": "pending",
                "task_id": _TRAIN,
                "level": 1,
                "attempt": 0,
                "progress": None,
            },
        ],
        "edges": [{"from": "prepare", "to": "train"}],
        "levels": [["prepare"], ["train"]],
    },
    "startPipeline": _PIPELINE,
    "cancelPipeline": {**_PIPELINE, "status": "cancelling"},
    "retryPipeline": _PIPELINE,
    "pausePipeline": {**_PIPELINE, "status": "paused"},
    "resumePipeline": _PIPELINE,
    "streamEvents": f"id: k84Eed0qAA\nretry: 2000\n\nid: k84Eed0qAg\nevent: pipeline.started\ndata: {_EVENT}\n\n",
    "streamPipelineEvents": f"retry: 2000\n\nid: 2\nevent: pipeline.started\ndata: {_EVENT}\n\n",
    "listTasks": {"items": [_TASK], "next_cursor": "WzcsMV0"},
    "getTask": _WHOLE_TASK,
    "submitTask": {**_WHOLE_TASK, "status": "queued", "attempt": 0, "attempts": []},
    "cancelTask": _WHOLE_TASK,
    "retryTask": {**_WHOLE_TASK, "status": "queued"},
    "purgeTasks": {"purged": 3},
    "getTaskResult": {
        "status": "completed",
        "result": {"best_checkpoint": "/…/step-3", "val_loss": 0.24},
        "error": None,
    },
    "getTaskLogs": "epoch 1: loss 0.71\nepoch 2: loss 0.42\n",
    "listTaskMetrics": {
        "items": [
            {"name": "val_loss", "attempt": 1, "points": [[1, 0.31, 1795490055.93], [2, 0.24, 1795490061.02]]},
        ],
        "next_cursor": None,
    },
    "cancelPipelines": _bulk({"uuid": _UUID, "ok": True, "status": "cancelling"}),
    "retryPipelines": _bulk({"uuid": _UUID, "ok": True, "status": "running"}),
    "deletePipelines": _bulk(
        {"uuid": _UUID, "ok": True},
        {"uuid": _OTHER, "ok": False, "status": "running", "problem": _NOT_ENDED},
    ),
    "getStatsOverview": {
        "by_status": {"pending": 0, "retrying": 0, "skipped": 0, "cancelled": 0, **_COUNTS},
        "by_queue": {"training": _COUNTS, "evaluation": {}, "default": {}, "preprocessing": {}, "maintenance": {}},
        "by_task": {"train_model": _COUNTS},
        "queues": _QUEUES,
        "workers": {"live": 1, "draining": 0},
        "slots": _SLOTS,
        "last_hour": [
            {"task": "train_model", "completed": 9, "failed": 1, "mean_s": 61.4, "p50_s": 58.7, "max_s": 95.2},
        ],
        "counted_at": _AT,
    },
    "listFailures": {
        "items": [
            {
                "fingerprint": "5b1f0c7de2a94a36",
                "category": "gpu_oom",
                "domain": "workload",
                "outlook": "changed",
                "remedy": "Halve the batch and accumulate gradients over twice as many.",
                "root_line": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
                "count": 17,
                "first_seen": _AT,
                "last_seen": _AT,
                "tasks": ["train_model"],
                "task_ids": [_TRAIN],
            },
        ],
        "next_cursor": None,
    },
    "listCheckpoints": {"items": [_CHECKPOINT], "next_cursor": None},
    "pinCheckpoint": {**_CHECKPOINT, "pinned": True},
    "unpinCheckpoint": _CHECKPOINT,
    "listQueues": {"items": _QUEUES, "next_cursor": None},
    "pauseQueue": {**_QUEUES[0], "paused": True},
    "resumeQueue": _QUEUES[0],
    "listWorkers": {
        "items": [
            {
                "id": "8c1f6f0a-0a35-4b7e-9d0f-6a1f3c2f9b11",
                "name": "gpu-7:4711",
                "version": "0.1.0",
                "state": "live",
                "queues": ["training", "evaluation", "default", "preprocessing", "maintenance"],
                "slots": _SLOTS,
                "started_at": _AT,
                "heartbeat_at": _AT,
                "lease_expires_at": _AT,
            },
        ],
        "next_cursor": None,
    },
    "listTaskTypes": {
        "items": [
            {
                "name": "noop",
                "queue": "default",
                "slot": "inline",
                "version": "1",
                "params_schema": {"type": "object"},
                "result_schema": {"type": "object"},
            },
        ],
        "next_cursor": None,
    },
    "getLiveness": {"status": "alive"},
    "getReadiness": {
        "status": "ready",
        "checks": {"postgres": "ok", "streams": "ok", "redis": "ok", "scheduler": "ok"},
    },
    "getMetrics": "# TYPE headway_sse_clients gauge\nheadway_sse_clients 0.0\n",
    "getProblemType": "not_found (404)\nNot found\n\nNothing has that id.\n",
}
PROBLEM: dict[str, Any] = {
    "type": "/problems/validation_failed",
    "title": "Request is not valid",
    "status": 422,
    "detail": "stage 'train' depends on 'prepair', which does not exist",
    "instance": "/api/v1/pipelines",
    "code": "validation_failed",
    "request_id": "7f1d0c6b9a5e4d07a5f8e6b1c2d3e4f5",
    "errors": [
        {
            "code": "unknown_stage",
            "detail": "stage 'train' depends on 'prepair', which does not exist",
            "pointer": "/stages/1/depends_on/0",
        },
    ],
}
