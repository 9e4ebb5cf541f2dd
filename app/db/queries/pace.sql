-- name: update
-- See which running stages have fallen silent, and count by task what runs and how fast. One that has missed three of
-- its reports, each a minute apart at least, is silent: it stands still, for all that is known.
WITH running AS MATERIALIZED (
    SELECT s.pipeline_id, s.position, s.task, p.attempt IS NOT NULL AS reports, p.steps_per_s,
           time_to_go(p.eta_s, p.reported_at) AS eta_s,
           coalesce(p.reported_at < clock_timestamp() - 3 * greatest(p.interval_s, 60) * interval '1 second',
                    false) AS silent
      FROM stages AS s
      LEFT JOIN paces AS p ON p.pipeline_id = s.pipeline_id AND p.position = s.position AND p.attempt = s.attempt
     WHERE s.status = 'running'
), fallen AS (
    UPDATE paces AS p SET silent = true, steps_per_s = 0, eta_s = NULL FROM running AS r
     WHERE r.silent AND NOT p.silent AND p.pipeline_id = r.pipeline_id AND p.position = r.position
       AND p.reported_at < clock_timestamp() - 3 * greatest(p.interval_s, 60) * interval '1 second'
), totals AS (
    SELECT task, count(*) AS running, count(*) FILTER (WHERE reports) AS reporting,
           count(*) FILTER (WHERE silent) AS silent,
           coalesce(sum(steps_per_s) FILTER (WHERE NOT silent), 0) AS steps_per_s,
           max(eta_s) FILTER (WHERE NOT silent) AS eta_s
      FROM running GROUP BY task
), gone AS (
    DELETE FROM running_totals WHERE task NOT IN (SELECT task FROM totals)
), counted AS (
    INSERT INTO running_totals AS t (task, running, reporting, silent, steps_per_s, eta_s, updated_at)
    SELECT task, running, reporting, silent, steps_per_s, eta_s, clock_timestamp() FROM totals ORDER BY task
        ON CONFLICT (task) DO UPDATE
       SET running = excluded.running, reporting = excluded.reporting, silent = excluded.silent,
           steps_per_s = excluded.steps_per_s, eta_s = excluded.eta_s, updated_at = excluded.updated_at
)
SELECT count(*) FROM running

-- name: totals
-- What runs of the tasks that run most.
SELECT coalesce(json_agg(json_build_object(
           'task', task, 'running', running, 'reporting', reporting, 'silent', silent, 'steps_per_s', steps_per_s,
           'eta_s', eta_s)), '[]')
  FROM (SELECT * FROM running_totals ORDER BY running DESC, task LIMIT $1) AS t
