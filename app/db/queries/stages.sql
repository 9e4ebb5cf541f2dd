-- name: claim
-- queued → running for a batch of claims.
SELECT claim_stages($1, $2, $3, $4, $5)

-- name: complete
-- running → completed | failed | cancelled | retrying for a batch of outcomes.
SELECT complete_stages($1::jsonb, $2)

-- name: complete_to_worker
-- The same, and where it is little also the release, and queued → running for what the worker can begin at once.
SELECT complete_to_worker($1::jsonb, $2, $3, $4, $5, $6, $7, $8)

-- name: release
-- Tell the dependents of what has ended, queue the retries that are due, settle.
SELECT release_pipelines($1, $2, $3)

-- name: report_progress
-- Keep the last progress and pace of running attempts; one that no longer holds its stage reports to nobody. No pipeline
-- is locked here, so it must not wait for a stage either: whoever has that locked is ending it.
WITH held AS MATERIALIZED (
    SELECT f.pipeline_id, f.position, f.attempt, r.*
      FROM jsonb_to_recordset($1::jsonb) AS r (stage uuid, lease_token uuid, progress double precision,
               step double precision, total double precision, steps_per_s double precision, eta_s double precision)
      JOIN stages AS f ON f.uuid = r.stage AND f.status = 'running' AND f.lease_token = r.lease_token
       FOR NO KEY UPDATE OF f SKIP LOCKED
), paced AS (
    INSERT INTO paces AS p (pipeline_id, position, attempt, step, total, steps_per_s, eta_s, reported_at)
    SELECT pipeline_id, position, attempt, step, total, steps_per_s, eta_s, clock_timestamp() FROM held
     WHERE step IS NOT NULL
        ON CONFLICT (pipeline_id, position) DO UPDATE
       SET attempt = excluded.attempt, step = excluded.step, total = excluded.total,
           steps_per_s = excluded.steps_per_s, eta_s = excluded.eta_s, reported_at = excluded.reported_at,
           silent = false,
           interval_s = CASE WHEN p.attempt = excluded.attempt
                             THEN extract(epoch FROM excluded.reported_at - p.reported_at) END
)
UPDATE stages AS s SET progress = h.progress FROM held AS h
 WHERE s.pipeline_id = h.pipeline_id AND s.position = h.position

-- name: releasable
-- The pipelines that the sweep has to look at.
SELECT releasable_pipelines($1) AS pipeline_id

-- name: due
-- The pipelines with a stage whose next attempt is due, or that has waited too long for one.
SELECT due_pipelines($1) AS pipeline_id

-- name: queued_after
-- A page of all queued stages of running pipelines, oldest first, for dispatching again what Redis may have lost. A
-- page is short only at the end: what is paused is left out before the limit is counted.
SELECT coalesce(json_agg(json_build_object(
           'stage', q.uuid, 'dispatch_token', q.dispatch_token, 'task', q.task, 'queue', q.queue, 'slot', q.slot,
           'priority', q.priority, 'queued_at', q.queued_at) ORDER BY q.queued_at, q.uuid), '[]')
  FROM (SELECT s.uuid, s.dispatch_token, s.task, s.queue, s.slot, s.queued_at, p.priority
          FROM stages AS s JOIN pipelines AS p ON p.id = s.pipeline_id AND p.status = 'running'
         WHERE s.status = 'queued' AND (s.queued_at, s.uuid) > ($1::timestamptz, $2::uuid)
           AND s.queue <> ALL ((SELECT paused_queues())::text[])
           AND s.queued_at < clock_timestamp() - $3::double precision * interval '1 second'
         ORDER BY s.queued_at, s.uuid LIMIT $4) AS q

-- name: lost
-- Running attempts whose worker has lost its lease, or has left.
SELECT coalesce(json_agg(json_build_object(
           'stage', s.uuid, 'attempt', s.attempt, 'lease_token', s.lease_token, 'losses', s.losses,
           'worker', coalesce(w.name, s.worker_id::text))), '[]')
  FROM (SELECT * FROM stages WHERE status = 'running' AND worker_id NOT IN (
            SELECT id FROM workers WHERE state IN ('live', 'draining')) LIMIT $1) AS s
  LEFT JOIN workers AS w ON w.id = s.worker_id

-- name: overdue
-- Running attempts whose worker lives, should have ended them at their timeout, and has not for two leases. Those of a
-- dead worker are lost, which costs them nothing.
SELECT coalesce(json_agg(json_build_object(
           'stage', s.uuid, 'attempt', s.attempt, 'lease_token', s.lease_token, 'timeout_s', s.timeout_s,
           'max_retries', s.max_retries, 'failures', s.failures, 'retry_delay_s', s.retry_delay_s,
           'retry_backoff', s.retry_backoff, 'retry_delay_max_s', s.retry_delay_max_s)), '[]')
  FROM stages AS s
 WHERE s.status = 'running'
   AND least(s.started_at + s.timeout_s * interval '1 second', s.expires_at)
           < clock_timestamp() - 2 * $1::double precision * interval '1 second'
   AND s.worker_id IN (
       SELECT id FROM workers WHERE state IN ('live', 'draining') AND lease_expires_at > clock_timestamp())

-- name: results
-- The results of the completed stages of one pipeline, among those named.
SELECT s.name, s.result FROM stages AS s JOIN pipelines AS p ON p.id = s.pipeline_id
 WHERE p.uuid = $1 AND s.name = ANY ($2::text[]) AND s.status = 'completed'

-- name: cancel
SELECT cancel_stage($1)

-- name: purge
SELECT purge_pipelines($1, $2, $3)

-- name: pipelines_with_queued
-- Some pipelines with stages that were queued before a certain moment, on one queue or on any.
SELECT DISTINCT pipeline_id FROM (
    SELECT pipeline_id FROM stages WHERE status = 'queued' AND queue = coalesce($1, queue) AND queued_at <= $2
     ORDER BY queued_at LIMIT $3) AS queued

-- name: now
SELECT clock_timestamp()

-- name: pipeline_of
SELECT p.uuid FROM stages AS s JOIN pipelines AS p ON p.id = s.pipeline_id WHERE s.uuid = $1
