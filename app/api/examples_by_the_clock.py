"""Examples of the operations on templates, schedules and periodic tasks, as ``examples`` has them of the others."""

from typing import Any

from app.api import examples

_AT = "2026-11-24T03:14:15.926535Z"
_PIPELINE: dict[str, Any] = examples.ANSWERS["getPipeline"]

TEMPLATE_SPEC: dict[str, Any] = {
    "name": "nightly",
    "description": "Prepare a dataset and train on it.",
    "params_schema": {
        "type": "object",
        "additionalProperties": False,
        "required": ["dataset"],
        "properties": {"dataset": {"type": "string"}, "epochs": {"type": "integer", "minimum": 1, "default": 5}},
    },
    "pipeline": {
        "name": "nightly",
        "stages": [
            {"name": "prepare", "task": "preprocess_dataset", "params": {"dataset": {"from": "params.dataset"}}},
            {
                "name": "train",
                "task": "train_model",
                "params": {
                    "dataset": {"from": "stages.prepare.result.dataset"},
                    "epochs": {"from": "params.epochs"},
                },
            },
        ],
    },
}
_TEMPLATE: dict[str, Any] = {**TEMPLATE_SPEC, "version": 3, "built_in": False, "created_at": _AT}
SUBMISSION: dict[str, Any] = {
    "params": {"dataset": "builtin:digits", "training_config": {"epochs": 5}, "keep_best_n": 2},
    "labels": {"team": "vision"},
}
SCHEDULE_SPEC: dict[str, Any] = {
    "name": "nightly-digits",
    "cron": "30 2 * * 1-5",
    "timezone": "Europe/Berlin",
    "template": "training",
    "params": {"dataset": "builtin:digits"},
    "overlap": "skip",
    "catch_up": "latest",
}
SCHEDULE_PATCH: dict[str, Any] = {"cron": "30 3 * * 1-5", "paused": False}
_SLOT: dict[str, Any] = {
    "slot": "2026-11-24T01:30:00Z",
    "state": "fired",
    "pipeline": _PIPELINE["uuid"],
    "error": None,
    "decided_at": "2026-11-24T01:30:00.417113Z",
}
_SCHEDULE_LINE: dict[str, Any] = {
    **{key: value for key, value in SCHEDULE_SPEC.items() if key != "params"},
    "description": "",
    "version": None,
    "catch_up_max": 10,
    "paused": False,
    "next_run_at": "2026-11-25T01:30:00Z",
    "last_slot": _SLOT,
    "missed": 0,
    "created_at": _AT,
    "updated_at": _AT,
}
_SCHEDULE: dict[str, Any] = {
    **_SCHEDULE_LINE,
    "params": SCHEDULE_SPEC["params"],
    "pipeline": None,
    "priority": None,
    "labels": {},
    "slots": [_SLOT],
}
ANSWERS: dict[str, Any] = {
    "listSchedules": {"items": [_SCHEDULE_LINE], "next_cursor": None},
    "createSchedule": _SCHEDULE,
    "getSchedule": _SCHEDULE,
    "patchSchedule": _SCHEDULE,
    "listTemplates": {
        "items": [{key: _TEMPLATE[key] for key in ("name", "version", "description", "built_in", "created_at")}],
        "next_cursor": None,
    },
    "createTemplate": _TEMPLATE,
    "getTemplate": _TEMPLATE,
    "submitTemplate": {**_PIPELINE, "labels": {"team": "vision", "headway.template": "training"}},
    "listPeriodicTasks": {
        "items": [
            {
                "name": "prune_slots",
                "interval_s": 3600,
                "last_run": {
                    "slot": "2026-11-24T03:00:00Z",
                    "worker": "gpu-7:4711",
                    "outcome": "completed",
                    "done": 12,
                    "error": None,
                    "started_at": "2026-11-24T03:00:00.147291Z",
                    "finished_at": "2026-11-24T03:00:00.160318Z",
                    "duration_s": 0.013027,
                },
                "next_run_at": "2026-11-24T04:00:00Z",
                "last_success_at": "2026-11-24T03:00:00.160318Z",
                "missed": 0,
                "last_missed_at": None,
            },
        ],
        "next_cursor": None,
    },
}
