-- name: record
-- Keep what a running attempt has measured; one that no longer holds its stage reports to nobody. The rows are the
-- attempt's own, so nothing is locked that anybody else waits for.
WITH mine AS (
    SELECT pipeline_id, position, attempt FROM stages WHERE uuid = $1 AND status || '' = 'running' AND lease_token = $2
), reports AS MATERIALIZED (
    SELECT mine.*, r.* FROM mine CROSS JOIN jsonb_to_recordset($3::jsonb) AS r (
        series smallint, name text, stride integer, widened boolean, last jsonb, points jsonb)
), kept AS (
    INSERT INTO metric_series AS m (pipeline_id, position, attempt, series, name, stride,
                                    last_n, last_step, last_value, last_at)
    SELECT pipeline_id, position, attempt, series, name, stride, (last -> 0)::integer, (last -> 1)::double precision,
           (last -> 2)::double precision, (last -> 3)::double precision FROM reports
        ON CONFLICT (pipeline_id, position, attempt, series) DO UPDATE
           SET stride = excluded.stride, last_n = excluded.last_n, last_step = excluded.last_step,
               last_value = excluded.last_value, last_at = excluded.last_at
), thinned AS (
    DELETE FROM metric_points AS p USING reports AS r
     WHERE r.widened AND p.pipeline_id = r.pipeline_id AND p.position = r.position AND p.attempt = r.attempt
       AND p.series = r.series AND p.n % r.stride <> 0
)
INSERT INTO metric_points (pipeline_id, position, attempt, series, n, step, value, at)
SELECT pipeline_id, position, attempt, series, (p -> 0)::integer, (p -> 1)::double precision,
       (p -> 2)::double precision, (p -> 3)::double precision
  FROM reports CROSS JOIN jsonb_array_elements(points) AS p
    ON CONFLICT DO NOTHING

-- name: of_task
-- A page of the series of a task, attempt by attempt, each with the last point even if it is none of those kept.
SELECT m.attempt, m.series, json_build_object('name', m.name, 'attempt', m.attempt, 'points', (
           SELECT json_agg(json_build_array(p.step, p.value, p.at) ORDER BY p.n) FROM (
               SELECT n, step, value, at FROM metric_points AS k
                WHERE k.pipeline_id = m.pipeline_id AND k.position = m.position AND k.attempt = m.attempt
                  AND k.series = m.series
               UNION SELECT m.last_n, m.last_step, m.last_value, m.last_at) AS p)) AS item
  FROM stages AS s JOIN metric_series AS m ON m.pipeline_id = s.pipeline_id AND m.position = s.position
 WHERE s.uuid = $1 AND ($2::text[] IS NULL OR m.name = ANY ($2)) AND (m.attempt, m.series) > ($3::integer, $4::smallint)
 ORDER BY m.attempt, m.series LIMIT $5
