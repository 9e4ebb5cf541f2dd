"""Diagnose again what older rules have diagnosed, or nobody yet."""

import asyncio
import os
from pathlib import Path

import msgspec
import structlog

from app.artifacts import open_log
from app.core.diagnosis import LOG_BYTES, RULE_VERSION, Evidence, diagnose
from app.db import failures as db
from app.db.pool import Pool, connection
from schemas.diagnosis import Diagnosis, Facts

SCAN_BATCH = 50
log = structlog.get_logger()


async def scan_failed_jobs(pool: Pool, data_dir: Path, limit: int = 1_000) -> int:
    """Diagnose at most ``limit`` failures by the present rules, a batch in a transaction; return how many.

    Their logs are read where they still are; of others the error has kept the last lines. Run twice at once it does the
    work twice, and comes to the same. One that cannot be read again is diagnosed as unknown.
    """
    done = 0
    while done < limit:
        batch = min(SCAN_BATCH, limit - done)
        async with connection(pool) as c:
            found = await db.of_older_rules(c, RULE_VERSION, batch)
        diagnoses = [await asyncio.to_thread(_diagnosed, each, data_dir) for each in found]
        async with connection(pool) as c:
            replaced = await db.rediagnose(c, diagnoses)
        done += replaced
        if len(found) < batch or not replaced:
            break
    return done


def _diagnosed(failure: db.Undiagnosed, data_dir: Path) -> db.Rediagnosed:
    try:
        diagnosis = _diagnosis(failure, data_dir)
    except Exception:  # such as a log on a disk that is broken; the others must not wait for it
        pipeline_id, _, attempt = failure.key
        log.exception("failure_unreadable", pipeline_id=pipeline_id, stage=failure.stage, attempt=attempt)
        diagnosis = diagnose(Evidence(code=""))
    return db.Rediagnosed(failure.key, diagnosis)


def _diagnosis(failure: db.Undiagnosed, data_dir: Path) -> Diagnosis:
    facts = msgspec.convert(failure.facts, Facts | None)
    return diagnose(Evidence.of(failure.error or {}, _end_of_log(failure, data_dir), facts))


def _end_of_log(failure: db.Undiagnosed, data_dir: Path) -> str:
    _, _, attempt = failure.key
    with open_log(data_dir, failure.pipeline, failure.stage, attempt) as file:
        if file is None:
            return ""
        start = max(0, os.fstat(file).st_size - LOG_BYTES)
        return os.pread(file, LOG_BYTES, start).decode(errors="replace")
