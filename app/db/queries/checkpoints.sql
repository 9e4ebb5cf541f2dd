-- name: record
-- Keep what running attempts report; one that no longer holds its stage records nothing. A path reported again is
-- the same checkpoint.
INSERT INTO checkpoints (pipeline_id, position, attempt, step, path, metrics, bytes)
SELECT s.pipeline_id, s.position, s.attempt, r.step, r.path, r.metrics, r.bytes
  FROM jsonb_to_recordset($1::jsonb) AS r (stage uuid, lease_token uuid, step bigint, path text, metrics jsonb,
                                           bytes bigint)
  JOIN stages AS s ON s.uuid = r.stage AND s.status = 'running' AND s.lease_token = r.lease_token
ON CONFLICT (pipeline_id, position, path) DO UPDATE SET metrics = excluded.metrics, bytes = excluded.bytes

-- name: of_pipeline
-- The checkpoints of a pipeline, or of one stage of it, that are still there or on their way out.
SELECT coalesce(json_agg(json_build_object(
           'id', c.id, 'stage', s.name, 'attempt', c.attempt, 'step', c.step, 'path', c.path, 'metrics', c.metrics,
           'bytes', c.bytes, 'state', c.state, 'pinned', c.pinned,
           'live', s.finished_at IS NULL) ORDER BY c.id), '[]')
  FROM checkpoints AS c
  JOIN stages AS s ON s.pipeline_id = c.pipeline_id AND s.position = c.position
  JOIN pipelines AS p ON p.id = c.pipeline_id
 WHERE p.uuid = $1 AND ($2::text IS NULL OR s.name = $2) AND c.state IN ('complete', 'invalid', 'deleting')

-- name: stage_names
SELECT s.name FROM stages AS s JOIN pipelines AS p ON p.id = s.pipeline_id WHERE p.uuid = $1 ORDER BY s.position

-- name: mark
-- Move checkpoints on; a pinned one is never marked for deletion.
UPDATE checkpoints SET state = $2 WHERE id = ANY ($1) AND ($2 <> 'deleting' OR NOT pinned) RETURNING id
