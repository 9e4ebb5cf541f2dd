-- name: register
INSERT INTO task_types (name, queue, slot, version, params_schema, result_schema)
SELECT t.name, t.queue, t.slot, t.version, t.params_schema, t.result_schema
  FROM json_to_recordset($1::json) AS t (name text, queue text, slot text, version text, params_schema json,
                                         result_schema json)
 ORDER BY t.name
ON CONFLICT (project, name) DO UPDATE
   SET queue = excluded.queue, slot = excluded.slot, version = excluded.version,
       params_schema = excluded.params_schema, result_schema = excluded.result_schema, registered_at = clock_timestamp()

-- name: registered
SELECT coalesce(json_agg(json_build_object(
           'name', name, 'queue', queue, 'slot', slot, 'version', version, 'params_schema', params_schema,
           'result_schema', result_schema) ORDER BY name), '[]')
  FROM task_types WHERE project = $1


-- name: item
-- The fields of a stage seen on its own; s is the stage and p its pipeline.
'name', s.name, 'task', s.task, 'queue', s.queue, 'status', s.status, 'attempt', s.attempt, 'task_id', s.uuid,
'params', s.params, 'depends_on', coalesce(d.names, '[]'), 'trigger_rule', s.trigger_rule,
'allow_failure', s.allow_failure, 'waiting_reason', why_held_back(s.status, s.queue, s.task), 'progress', s.progress,
'result', s.result,
'error', s.error, 'diagnosis', s.diagnosis, 'worker', w.name, 'queued_at', s.queued_at, 'started_at', s.started_at,
'finished_at', s.finished_at, 'pipeline', p.uuid, 'pipeline_name', p.name, 'priority', p.priority

-- name: around
-- What belongs to a stage s: its pipeline, its worker, and the names it waits for with those that have not ended. The
-- stage comes first: when Postgres believes that there are few pipelines, it would look for it once for each of them.
CROSS JOIN LATERAL (SELECT * FROM pipelines WHERE id = s.pipeline_id OFFSET 0) AS p
LEFT JOIN workers AS w ON w.id = s.worker_id
CROSS JOIN LATERAL (
    SELECT json_agg(o.name ORDER BY o.position) AS names, array_agg(o.name) FILTER (WHERE o.finished_at IS NULL) AS awaited
      FROM dependencies AS e
     CROSS JOIN LATERAL (
         SELECT * FROM stages WHERE pipeline_id = e.pipeline_id AND position = e.depends_on OFFSET 0) AS o
     WHERE e.pipeline_id = s.pipeline_id AND e.stage = s.position) AS d

-- name: walk
-- The keys of the next tasks of a list, walked along each of the statuses $1 by itself, and where a walk has stopped.
SELECT w.* FROM unnest($1::text[]) AS walk (status)
 CROSS JOIN LATERAL walk_stages(walk.status, $2, $3, $4, $5, $6, $7, $8, $9) AS w

-- name: items
-- The tasks with these keys, newest first, as far as they fit into $3 bytes.
SELECT pipeline_id, position, pipeline_status, awaited, item FROM (
    SELECT *, sum(length(item)) OVER (ORDER BY pipeline_id DESC, position DESC) - length(item) AS bytes_before FROM (
        SELECT s.pipeline_id, s.position, p.status AS pipeline_status, d.awaited, json_build_object({item})::text AS item
          FROM unnest($1::bigint[], $2::integer[]) AS key (pipeline_id, position)
          JOIN stages AS s ON s.pipeline_id = key.pipeline_id AND s.position = key.position
          {around}) AS items) AS sized
 WHERE bytes_before < $3::bigint ORDER BY pipeline_id DESC, position DESC

-- name: pipeline
SELECT id FROM pipelines WHERE uuid = $1

-- name: get
-- One task with everything about it; of very many attempts the newest.
SELECT p.status AS pipeline_status, d.awaited, json_build_object({item},
           'max_retries', s.max_retries, 'retry_delay', s.retry_delay_s, 'retry_backoff', s.retry_backoff,
           'retry_delay_max', s.retry_delay_max_s, 'timeout', s.timeout_s, 'queue_timeout', s.queue_timeout_s,
           'total_timeout', s.total_timeout_s, 'retry_at', s.retry_at, 'attempts', a.attempts,
           'step', g.step, 'total', g.total, 'steps_per_s', g.steps_per_s, 'reported_at', g.reported_at,
           'eta_s', time_to_go(g.eta_s, g.reported_at),
           'loss', l.last_value) AS item
  FROM stages AS s
  {around}
  LEFT JOIN paces AS g ON g.pipeline_id = s.pipeline_id AND g.position = s.position AND g.attempt = s.attempt
                      AND s.status = 'running'
  LEFT JOIN LATERAL (
      SELECT m.last_value FROM metric_series AS m
       WHERE m.pipeline_id = s.pipeline_id AND m.position = s.position AND m.attempt = s.attempt AND m.name = ANY ($2)
       ORDER BY array_position($2, m.name) LIMIT 1) AS l ON true
  CROSS JOIN LATERAL (
      SELECT coalesce(json_agg(json_build_object(
                 'attempt', n.attempt, 'outcome', n.outcome, 'error', n.error, 'diagnosis', f.diagnosis,
                 'worker', o.name, 'executor', n.executor, 'started_at', n.started_at, 'finished_at', n.finished_at)
                 ORDER BY n.attempt), '[]') AS attempts
        FROM (SELECT * FROM attempts AS n WHERE n.pipeline_id = s.pipeline_id AND n.position = s.position
               ORDER BY n.attempt DESC LIMIT 100) AS n
        LEFT JOIN failures AS f ON f.pipeline_id = n.pipeline_id AND f.position = n.position AND f.attempt = n.attempt
        LEFT JOIN workers AS o ON o.id = n.worker_id) AS a
 WHERE s.uuid = $1

-- name: result
SELECT json_build_object('status', status, 'result', result, 'error', error) FROM stages WHERE uuid = $1

-- name: place
-- Where a task is in its life, and where its attempts keep their things.
SELECT json_build_object(
           'pipeline', p.uuid, 'seq', p.last_seq, 'stage', s.name, 'slot', s.slot, 'status', s.status,
           'attempt', s.attempt, 'age_s', extract(epoch FROM clock_timestamp() - s.started_at))
  FROM stages AS s CROSS JOIN LATERAL (SELECT * FROM pipelines WHERE id = s.pipeline_id OFFSET 0) AS p
 WHERE s.uuid = $1
