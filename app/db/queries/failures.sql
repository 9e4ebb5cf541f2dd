-- name: walk
-- Kinds of failures among the newest $6 that are older than a place ($1 to $4) and not older than $5, of the pipeline $9
-- or of all: those seen last first, from behind the kind ($10, $11); those of the category $7 and the task type $8.
-- Besides them the places of the first and the last failure that was passed, and how many were.
WITH passed AS MATERIALIZED (
    SELECT w.*, row_number() OVER () AS n FROM walk_failures($1, $2, $3, $4, $5, $9, $6) AS w
), kinds AS (
    SELECT p.fingerprint, count(*) AS count, min(p.failed_at) AS first_seen, max(p.failed_at) AS last_seen,
           (array_agg(DISTINCT p.task))[:20] AS tasks,
           (array_agg(p.stage ORDER BY p.n))[:5] AS stages, min(p.n) AS newest
      FROM passed AS p
     WHERE p.fingerprint IS NOT NULL AND ($7::text IS NULL OR p.category = $7) AND ($8::text IS NULL OR p.task = $8)
     GROUP BY p.fingerprint
), shown AS (
    SELECT * FROM kinds AS k WHERE (k.last_seen, k.fingerprint) < ($10::timestamptz, $11::text)
     ORDER BY k.last_seen DESC, k.fingerprint DESC LIMIT $12
)
SELECT json_build_object(
           'items', (
               SELECT coalesce(json_agg(json_build_object(
                          'fingerprint', k.fingerprint, 'category', d.diagnosis -> 'category',
                          'domain', d.diagnosis -> 'domain', 'outlook', d.diagnosis -> 'outlook',
                          'remedy', d.diagnosis -> 'remedy', 'root_line', d.diagnosis -> 'root_line',
                          'count', k.count, 'first_seen', k.first_seen, 'last_seen', k.last_seen, 'tasks', k.tasks,
                          'task_ids', k.stages) ORDER BY k.last_seen DESC, k.fingerprint DESC), '[]')
                 FROM shown AS k JOIN passed AS p ON p.n = k.newest
                 CROSS JOIN diagnosis_of(p.pipeline_id, p.position, p.attempt) AS d (diagnosis)),
           'newest', (SELECT json_build_array(failed_at, pipeline_id, position, attempt) FROM passed WHERE n = 1),
           'oldest', (SELECT json_build_array(failed_at, pipeline_id, position, attempt) FROM passed
                       ORDER BY n DESC LIMIT 1),
           'passed', (SELECT count(*) FROM passed))

-- name: of_older_rules
-- Failures that were diagnosed by rules before $1, or not at all, those with the oldest rules first; with where the
-- attempt kept its log.
SELECT coalesce(json_agg(json_build_object(
           'key', json_build_array(f.pipeline_id, f.position, f.attempt), 'pipeline', p.uuid, 'stage', s.name,
           'error', a.error, 'facts', f.diagnosis -> 'facts', 'rule_version', f.rule_version)), '[]')
  FROM (SELECT * FROM failures WHERE rule_version < $1 ORDER BY rule_version, failed_at LIMIT $2) AS f
  JOIN pipelines AS p ON p.id = f.pipeline_id
  JOIN stages AS s ON s.pipeline_id = f.pipeline_id AND s.position = f.position
  JOIN attempts AS a ON a.pipeline_id = f.pipeline_id AND a.position = f.position AND a.attempt = f.attempt

-- name: rediagnose
-- Replace diagnoses by those of newer rules.
SELECT rediagnose_failures($1::jsonb)
