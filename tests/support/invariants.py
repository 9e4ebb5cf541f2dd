"""What holds at every moment, whatever happened before: for the ends of stress tests."""

from app.core.transitions import PIPELINE_MOVES, STAGE_MOVES, PipelineEvent, StageEvent, settled
from app.db.pool import Pool
from schemas.event import EventType
from schemas.states import PipelineStatus, StageStatus

COUNTERS = """
SELECT p.id, p.last_seq, p.open_stages, p.broken_stages, e.count AS events, e.last, s.open, s.broken
  FROM pipelines AS p
  CROSS JOIN LATERAL (SELECT count(*), max(seq) AS last FROM events WHERE pipeline_id = p.id) AS e
  CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE finished_at IS NULL) AS open,
                             count(*) FILTER (WHERE status IN ('failed', 'cancelled') AND NOT allow_failure) AS broken
                        FROM stages WHERE pipeline_id = p.id) AS s
 WHERE p.id > $1"""
DISORDER = """
SELECT count(*) FROM events AS e JOIN events AS f ON f.pipeline_id = e.pipeline_id AND f.seq = e.seq + 1
 WHERE f."time" < e."time" """
MISPLACED = """
SELECT count(*) FROM events AS e JOIN events AS f ON f.pipeline_id = e.pipeline_id AND f.seq = e.seq + 1
 WHERE f.place < e.place OR e.place >= place_of(pg_snapshot_xmax(pg_current_snapshot()))"""
ATTEMPTS = """
SELECT s.uuid FROM stages AS s LEFT JOIN attempts AS a ON a.pipeline_id = s.pipeline_id AND a.position = s.position
 GROUP BY s.uuid, s.attempt, s.status
HAVING count(a) <> s.attempt OR coalesce(max(a.attempt), 0) <> s.attempt
    OR count(a) FILTER (WHERE a.outcome IS NULL) <> (s.status = 'running')::integer"""

HISTORY = """
SELECT type, subject,
       ARRAY(SELECT json_array_elements_text(data -> 'stages') WHERE type = 'pipeline.started') AS retried
  FROM events WHERE pipeline_id = $1 ORDER BY seq"""

STAGE_EVENTS = {
    EventType.STAGE_QUEUED: (StageEvent.RELEASE, StageEvent.QUEUE_AGAIN),
    EventType.STAGE_STARTED: (StageEvent.CLAIM,),
    EventType.STAGE_RETRYING: (StageEvent.RETRY_LATER,),
    EventType.STAGE_COMPLETED: (StageEvent.COMPLETE,),
    EventType.STAGE_FAILED: (StageEvent.FAIL, StageEvent.EXPIRE),
    EventType.STAGE_SKIPPED: (StageEvent.SKIP,),
    EventType.STAGE_CANCELLED: (StageEvent.CANCEL, StageEvent.STOP),
}
PIPELINE_EVENTS = {
    EventType.PIPELINE_CREATED: PipelineEvent.CREATE,
    EventType.PIPELINE_STARTED: PipelineEvent.START,
    EventType.PIPELINE_PAUSED: PipelineEvent.PAUSE,
    EventType.PIPELINE_RESUMED: PipelineEvent.RESUME,
    EventType.PIPELINE_CANCELLING: PipelineEvent.CANCEL,
    EventType.PIPELINE_COMPLETED: PipelineEvent.SETTLE_COMPLETED,
    EventType.PIPELINE_FAILED: PipelineEvent.SETTLE_FAILED,
    EventType.PIPELINE_CANCELLED: PipelineEvent.SETTLE_CANCELLED,
}


async def hold(pool: Pool, *, after: int = 0) -> None:
    """Assert all of them, for every pipeline with an id above ``after``."""
    for row in await pool.fetch(COUNTERS, after):
        assert row["last_seq"] == row["events"] == row["last"], dict(row)
        assert (row["open_stages"], row["broken_stages"]) == (row["open"], row["broken"]), dict(row)
        await _history_obeys_the_grammar(pool, row["id"])
    assert await pool.fetchval(DISORDER) == 0
    assert await pool.fetchval(MISPLACED) == 0
    assert await pool.fetch(ATTEMPTS) == []


async def _history_obeys_the_grammar(pool: Pool, pipeline: int) -> None:
    """Replay the events by the rules of ``app.core.transitions``; they lead to where Postgres is."""
    status: PipelineStatus | None = None
    stages = {row["name"]: StageStatus.PENDING for row in await _stages(pool, pipeline)}
    for row in await pool.fetch(HISTORY, pipeline):
        event = EventType(row["type"])
        if event in PIPELINE_EVENTS:
            is_retry = event is EventType.PIPELINE_STARTED and status is not PipelineStatus.PENDING
            status = PIPELINE_MOVES[PipelineEvent.RETRY if is_retry else PIPELINE_EVENTS[event]][status]
            if is_retry:
                stages |= {name: _retried(stages[name]) for name in row["retried"]}
        else:
            before, after = stages[row["subject"]], _state_after(event)
            assert after in {STAGE_MOVES[verb].get(before) for verb in STAGE_EVENTS[event]}, (before, event)
            stages[row["subject"]] = after
    assert stages == {row["name"]: row["status"] for row in await _stages(pool, pipeline)}
    assert status == await pool.fetchval("SELECT status FROM pipelines WHERE id = $1", pipeline)
    if status in {PipelineStatus.COMPLETED, PipelineStatus.FAILED}:
        harmless = {row["name"] for row in await _stages(pool, pipeline) if row["allow_failure"]}
        harmful = [each for name, each in stages.items() if name not in harmless]
        assert status == settled(harmful, PipelineStatus.RUNNING)


def _retried(status: StageStatus) -> StageStatus:
    verb = StageEvent.REVIVE if status in STAGE_MOVES[StageEvent.REVIVE] else StageEvent.RETRY
    return STAGE_MOVES[verb][status]


def _state_after(event: EventType) -> StageStatus:
    return StageStatus.RUNNING if event is EventType.STAGE_STARTED else StageStatus(event.removeprefix("stage."))


async def _stages(pool: Pool, pipeline: int) -> list:
    return await pool.fetch("SELECT name, status, allow_failure FROM stages WHERE pipeline_id = $1", pipeline)
