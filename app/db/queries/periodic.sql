-- name: take
SELECT take_periodic_slots($1, $2, $3, $4)

-- name: finish
-- A run has ended; nothing if it was given up in the meantime.
UPDATE periodic_runs SET outcome = $4, done = $5, error = $6::jsonb, finished_at = clock_timestamp()
 WHERE name = $1 AND slot = $2 AND worker_id = $3 AND outcome IS NULL

-- name: all
-- Every task with its last run. What goes by now without anybody is counted as it will be when somebody comes.
SELECT coalesce(json_agg(json_build_object(
           'name', t.name, 'interval_s', t.interval_s,
           'next_run_at', greatest(t.last_slot + make_interval(secs => t.interval_s), n.slot),
           'missed', t.missed + coalesce(
               greatest(0, ceil(extract(epoch FROM n.slot - t.last_slot) / t.interval_s) - 1), 0)::bigint,
           'last_success_at', (SELECT r.finished_at FROM periodic_runs AS r WHERE r.name = t.name AND r.outcome = 'completed'
                                ORDER BY r.slot DESC LIMIT 1),
           'last_missed_at', (SELECT max(m.slot) FROM periodic_runs AS m WHERE m.name = t.name AND m.outcome = 'missed'),
           'last_run', (
               SELECT json_build_object(
                          'slot', r.slot, 'worker', w.name, 'done', r.done, 'error', r.error,
                          'outcome', CASE WHEN is_lost(r, clock_timestamp()) THEN 'lost' ELSE r.outcome END,
                          'started_at', r.started_at, 'finished_at', r.finished_at,
                          'duration_s', extract(epoch FROM r.finished_at - r.started_at)::double precision)
                 FROM periodic_runs AS r LEFT JOIN workers AS w ON w.id = r.worker_id
                WHERE r.name = t.name AND r.slot = t.last_slot)) ORDER BY t.name), '[]')
  FROM periodic_tasks AS t CROSS JOIN LATERAL slot_of(clock_timestamp(), t.interval_s) AS n (slot)

-- name: prune
-- Forget the runs of a task that are older than so many seconds, but its last one; and a task that nobody runs any more.
WITH gone AS (
    DELETE FROM periodic_tasks WHERE last_slot < clock_timestamp() - $1::double precision * interval '1 second'
    RETURNING name
), pruned AS (
    DELETE FROM periodic_runs AS r
     WHERE r.slot < clock_timestamp() - $1::double precision * interval '1 second'
       AND r.slot IS DISTINCT FROM (SELECT last_slot FROM periodic_tasks AS t
                                     WHERE t.name = r.name AND t.name NOT IN (SELECT name FROM gone))
    RETURNING 1
)
SELECT count(*) FROM pruned
