-- name: record
-- Keep what running attempts report; one that no longer holds its stage records nothing. A path reported again is
-- the same checkpoint, and lives again if it was deleted.
INSERT INTO checkpoints (pipeline_id, position, attempt, step, path, metrics, bytes, state)
SELECT s.pipeline_id, s.position, s.attempt, r.step, r.path, r.metrics, r.bytes, r.state
  FROM jsonb_to_recordset($1::jsonb) AS r (stage uuid, lease_token uuid, step bigint, path text, metrics jsonb,
                                           bytes bigint, state text)
  JOIN stages AS s ON s.uuid = r.stage AND s.status = 'running' AND s.lease_token = r.lease_token
ON CONFLICT (pipeline_id, position, path) DO UPDATE
   SET attempt = excluded.attempt, step = excluded.step, metrics = excluded.metrics, bytes = excluded.bytes,
       state = excluded.state, reason = NULL, kept_by = ''

-- name: condemn
-- A running attempt has found a checkpoint of its stage torn or missing.
UPDATE checkpoints AS c SET state = 'invalid', reason = $4 FROM stages AS s
 WHERE s.uuid = $1 AND s.status || '' = 'running' AND s.lease_token = $2
   AND c.pipeline_id = s.pipeline_id AND c.position = s.position AND c.path = $3
   AND c.state || '' IN ('writing', 'complete')

-- name: resume_point
-- Where a running attempt takes up the work: the newest complete checkpoint of its stage that it has not passed over.
SELECT c.path, c.bytes FROM stages AS s JOIN checkpoints AS c ON c.pipeline_id = s.pipeline_id AND c.position = s.position
 WHERE s.uuid = $1 AND s.status || '' = 'running' AND s.lease_token = $2 AND c.state || '' = 'complete'
   AND c.path <> ALL ($3::text[])
 ORDER BY c.step DESC, c.id DESC LIMIT 1

-- name: item
-- The fields of a checkpoint c of a stage s in a pipeline p.
'id', c.id, 'pipeline', p.uuid, 'stage', s.name, 'task_id', s.uuid, 'attempt', c.attempt, 'step', c.step,
'path', c.path, 'metrics', c.metrics, 'bytes', c.bytes, 'state', c.state, 'reason', c.reason, 'pinned', c.pinned,
'created_at', c.created_at

-- name: of_pipeline
-- The checkpoints of a pipeline, or of one stage of it, that are still there or on their way out.
SELECT coalesce(json_agg(json_build_object({item}, 'live', may_resume(s.status, p.status),
           'held', s.status = 'running' AND c.attempt = s.attempt) ORDER BY c.id), '[]')
  FROM checkpoints AS c
  JOIN stages AS s ON s.pipeline_id = c.pipeline_id AND s.position = c.position
  JOIN pipelines AS p ON p.id = c.pipeline_id
 WHERE p.uuid = $1 AND ($2::text IS NULL OR s.name = $2) AND c.state <> 'deleted'

-- name: stage_names
SELECT s.name FROM stages AS s JOIN pipelines AS p ON p.id = s.pipeline_id WHERE p.uuid = $1 ORDER BY s.position

-- name: mark_deleting
-- Mark checkpoints for deletion; whatever has changed since they were judged: none that is pinned, that is where its
-- stage would resume, or that is being written.
UPDATE checkpoints AS c SET state = 'deleting'
  FROM stages AS s JOIN pipelines AS p ON p.id = s.pipeline_id
 WHERE c.id = ANY ($1) AND s.pipeline_id = c.pipeline_id AND s.position = c.position
   AND NOT c.pinned AND c.state <> 'deleted'
   AND NOT (c.state = 'writing' AND s.status = 'running' AND c.attempt = s.attempt)
   AND NOT (c.state = 'complete' AND may_resume(s.status, p.status)
            AND c.path = resume_point(c.pipeline_id, c.position))
RETURNING c.id

-- name: mark_deleted
-- Their files are gone. One that was reported anew meanwhile lives.
UPDATE checkpoints SET state = 'deleted' WHERE id = ANY ($1) AND state = 'deleting'

-- name: mark_lost
-- It was reported anew while its files were removed, and they are gone.
UPDATE checkpoints SET state = 'invalid', reason = 'a clean-up removed its files while it was written anew'
 WHERE id = $1 AND state = 'complete'

-- name: mark_kept
-- A rule has judged them, and leaves them alone.
UPDATE checkpoints SET kept_by = $2 WHERE id = ANY ($1) AND kept_by <> $2

-- name: other_rules
-- Under which rules, other than this one, checkpoints were last judged; '' for those that never were.
WITH RECURSIVE found (kept_by) AS (
    SELECT min(kept_by) FROM checkpoints WHERE state <> 'deleted'
    UNION ALL
    SELECT (SELECT min(c.kept_by) FROM checkpoints AS c WHERE c.state <> 'deleted' AND c.kept_by > found.kept_by)
      FROM found WHERE found.kept_by IS NOT NULL
)
SELECT kept_by FROM found WHERE kept_by <> $1

-- name: to_judge
-- The next pipelines with checkpoints that were last judged by this rule: those that ended before $2, the last that was
-- looked at, and whether all of them are too young for that.
SELECT max(p.id) AS last, coalesce(bool_and(p.created_at >= $2), true) AS young,
       coalesce(array_agg(DISTINCT p.uuid) FILTER (WHERE p.finished_at < $2), '{}') AS ended
  FROM (SELECT pipeline_id FROM checkpoints WHERE kept_by = $1 AND state <> 'deleted' AND pipeline_id > $3
         ORDER BY pipeline_id LIMIT $4) AS c
  JOIN pipelines AS p ON p.id = c.pipeline_id

-- name: half_deleted
-- Some pipelines where a deletion has begun and has not ended.
SELECT DISTINCT p.uuid FROM (SELECT pipeline_id FROM checkpoints WHERE state = 'deleting' LIMIT $1) AS c
  JOIN pipelines AS p ON p.id = c.pipeline_id

-- name: pin
-- Pin a checkpoint that is still there, or unpin one.
UPDATE checkpoints SET pinned = $2, kept_by = '' WHERE id = $1 AND (NOT $2 OR state NOT IN ('deleting', 'deleted'))

-- name: get
SELECT json_build_object({item})
  FROM checkpoints AS c
  JOIN stages AS s ON s.pipeline_id = c.pipeline_id AND s.position = c.position
  JOIN pipelines AS p ON p.id = c.pipeline_id
 WHERE c.id = $1

-- name: page_of_pipeline
-- A page of the checkpoints of a pipeline, newest first.
SELECT coalesce(json_agg(item), '[]') FROM (
    SELECT json_build_object({item}) AS item
      FROM checkpoints AS c
      JOIN stages AS s ON s.pipeline_id = c.pipeline_id AND s.position = c.position
      JOIN pipelines AS p ON p.id = c.pipeline_id
     WHERE c.pipeline_id = $1 AND ($2::integer IS NULL OR c.position = $2) AND ($3::text IS NULL OR s.name = $3)
       AND c.state = ANY ($4) AND c.id < $5
     ORDER BY c.id DESC LIMIT $6) AS page

-- name: page_of_all
-- A page of the checkpoints of all pipelines, newest first, walked along each of the states.
SELECT coalesce(json_agg(json_build_object({item}) ORDER BY c.id DESC), '[]') FROM (
    SELECT w.* FROM unnest($1::text[]) AS walk (state)
     CROSS JOIN LATERAL (SELECT * FROM checkpoints AS c  -- as a range, so that no other index will do
                          WHERE (c.state, c.id) >= (walk.state, 0) AND (c.state, c.id) < (walk.state, $2)
                          ORDER BY c.state DESC, c.id DESC LIMIT $3) AS w
     ORDER BY w.id DESC LIMIT $3) AS c
  JOIN stages AS s ON s.pipeline_id = c.pipeline_id AND s.position = c.position
  JOIN pipelines AS p ON p.id = c.pipeline_id

-- name: place_of_task
SELECT pipeline_id, position FROM stages WHERE uuid = $1
