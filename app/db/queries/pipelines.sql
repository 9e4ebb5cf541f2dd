-- name: create
-- Store a pipeline with its stages and dependencies, and start it if it says so.
SELECT create_pipeline($1::jsonb, $2, $3)

-- name: start
SELECT start_pipeline($1)

-- name: cancel
SELECT cancel_pipeline($1)

-- name: pause
SELECT pause_pipeline($1, true)

-- name: resume
SELECT pause_pipeline($1, false)

-- name: retry
SELECT retry_pipeline($1, $2)

-- name: delete
SELECT delete_pipeline($1)

-- name: get
-- One pipeline with everything about it.
SELECT json_build_object(
           'uuid', p.uuid, 'name', p.name, 'description', p.description, 'project', p.project, 'status', p.status,
           'priority', p.priority, 'labels', p.labels, 'error', p.error, 'created_at', p.created_at,
           'started_at', p.started_at, 'finished_at', p.finished_at,
           'stages', s.stages, 'stage_tasks', s.stage_tasks, 'results', s.results)
  FROM pipelines AS p CROSS JOIN LATERAL (
      SELECT json_agg(json_build_object(
                 'name', s.name, 'task', s.task, 'queue', s.queue, 'status', s.status, 'attempt', s.attempt,
                 'task_id', s.uuid, 'params', s.params, 'depends_on', coalesce(d.names, '[]'),
                 'progress', s.progress, 'result', s.result, 'error', s.error, 'diagnosis', s.diagnosis,
                 'worker', w.name, 'retry_at', s.retry_at, 'queued_at', s.queued_at, 'started_at', s.started_at,
                 'finished_at', s.finished_at) ORDER BY s.position) AS stages,
             json_object_agg(s.name, s.uuid ORDER BY s.position) AS stage_tasks,
             coalesce(json_object_agg(s.name, s.result ORDER BY s.position) FILTER (WHERE s.result IS NOT NULL), '{}')
                 AS results
        FROM stages AS s
        LEFT JOIN workers AS w ON w.id = s.worker_id
        LEFT JOIN (SELECT e.stage, json_agg(o.name ORDER BY o.position) AS names
                     FROM dependencies AS e
                     JOIN stages AS o ON o.pipeline_id = e.pipeline_id AND o.position = e.depends_on
                    WHERE e.pipeline_id = p.id GROUP BY e.stage) AS d ON d.stage = s.position
       WHERE s.pipeline_id = p.id) AS s
 WHERE p.uuid = $1

-- name: progress
-- The light answer: status and counts. A running stage counts for the share it reported.
SELECT json_build_object(
           'uuid', p.uuid, 'status', p.status,
           'progress', round(s.done::numeric / p.stage_count, 4), 'counts', s.counts, 'stages', s.stages)
  FROM pipelines AS p CROSS JOIN LATERAL (
      SELECT sum(n.done) AS done, json_object_agg(n.status, n.count) AS counts,
             (SELECT json_object_agg(name, status ORDER BY position) FROM stages WHERE pipeline_id = p.id) AS stages
        FROM (SELECT status, count(*) AS count,
                     sum(CASE WHEN finished_at IS NOT NULL THEN 1
                              WHEN status = 'running' THEN coalesce(progress, 0) ELSE 0 END) AS done
                FROM stages WHERE pipeline_id = p.id GROUP BY status) AS n) AS s
 WHERE p.uuid = $1

-- name: page
-- A page of pipelines, newest or oldest first ({beyond} and {order}, so that both walk the index). Null filters let
-- everything pass; the cursor is the last row of the page before.
SELECT id, json_build_object(
           'uuid', uuid, 'name', name, 'description', description, 'project', project, 'status', status,
           'priority', priority, 'labels', labels, 'error', error, 'created_at', created_at,
           'started_at', started_at, 'finished_at', finished_at) AS summary, created_at
  FROM pipelines
 WHERE project = $1
   AND ($2::text[] IS NULL OR status = ANY ($2))
   AND ($3::text IS NULL OR name = $3)
   AND ($4::jsonb IS NULL OR labels @> $4)
   AND ($5::timestamptz IS NULL OR created_at > $5)
   AND ($6::timestamptz IS NULL OR (created_at, id) {beyond} ($6, $7))
 ORDER BY created_at {order}, id {order}
 LIMIT $8
