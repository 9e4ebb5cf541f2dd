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

-- name: patch
SELECT patch_pipeline($1, $2::jsonb)

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
      SELECT json_agg(s) AS stages, json_object_agg(s.name, s.task_id) AS stage_tasks,
             coalesce(json_object_agg(s.name, s.result) FILTER (WHERE s.result IS NOT NULL), '{}') AS results
        FROM (SELECT s.name, s.task, s.queue, s.status, s.attempt, s.uuid AS task_id, s.params,
                     coalesce(d.names, '[]') AS depends_on, s.trigger_rule, s.allow_failure, h.reason AS waiting_reason,
                     s.progress, s.result, s.error, s.diagnosis, w.name AS worker, s.retry_at, s.queued_at,
                     s.started_at, s.finished_at
                FROM stages AS s
                LEFT JOIN workers AS w ON w.id = s.worker_id
                LEFT JOIN (SELECT 'queued' AS status, q.queue, q.task, why_held_back('queued', q.queue, q.task) AS reason
                             FROM (SELECT DISTINCT of.queue, of.task FROM stages AS of
                                    WHERE of.pipeline_id = p.id AND of.status || '' = 'queued') AS q) AS h
                       USING (status, queue, task)
                LEFT JOIN (SELECT e.stage, json_agg(o.name ORDER BY o.position) AS names
                             FROM dependencies AS e
                             JOIN stages AS o ON o.pipeline_id = e.pipeline_id AND o.position = e.depends_on
                            WHERE e.pipeline_id = p.id GROUP BY e.stage) AS d ON d.stage = s.position
               WHERE s.pipeline_id = p.id ORDER BY s.position) AS s) AS s
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

-- name: graph
-- The stages and who waits for whom; the levels are counted elsewhere.
SELECT json_build_object(
           'nodes', (SELECT json_agg(json_build_object(
                                'name', s.name, 'task', s.task, 'queue', s.queue, 'status', s.status,
                                'task_id', s.uuid, 'attempt', s.attempt, 'progress', s.progress) ORDER BY s.position)
                       FROM stages AS s WHERE s.pipeline_id = p.id),
           'edges', (SELECT coalesce(json_agg(json_build_object('from', o.name, 'to', s.name)
                                              ORDER BY s.position, o.position), '[]')
                       FROM dependencies AS e
                       JOIN stages AS s ON s.pipeline_id = e.pipeline_id AND s.position = e.stage
                       JOIN stages AS o ON o.pipeline_id = e.pipeline_id AND o.position = e.depends_on
                      WHERE e.pipeline_id = p.id))
  FROM pipelines AS p
 WHERE p.uuid = $1
