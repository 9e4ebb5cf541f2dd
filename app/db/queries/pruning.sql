-- name: ended
-- The next pipelines in the order of their making: those that ended before $1 and have no pinned checkpoint, the last that
-- was looked at, and whether all of them are too young for that.
SELECT max(id) AS last, coalesce(bool_and(created_at >= $1), true) AS young,
       coalesce(array_agg(uuid ORDER BY id) FILTER (WHERE finished_at < $1 AND NOT EXISTS (
           SELECT FROM checkpoints AS c WHERE c.pipeline_id = p.id AND c.pinned)), '{}') AS ended
  FROM (SELECT id, uuid, created_at, finished_at FROM pipelines WHERE id > $2 ORDER BY id LIMIT $3) AS p

-- name: prune
SELECT prune_pipeline($1, $2)

-- name: left
-- The next deleted pipeline whose artifacts may lie on disk still.
SELECT pipeline FROM artifacts_left WHERE pipeline > $1 ORDER BY pipeline LIMIT 1

-- name: removed
-- Nothing of it lies on disk any more.
DELETE FROM artifacts_left WHERE pipeline = $1
