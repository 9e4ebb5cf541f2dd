-- name: count_ends
SELECT count_ends($1)

-- name: counts
-- How many stages there are of each status that lasts, and how many have ended in each of the others.
SELECT status, queue, task, count FROM live_counts()
UNION ALL
SELECT status, queue, task, count FROM stats_totals WHERE project = $1

-- name: last_hour
-- What was completed and what failed, by task, in the last hour and the present minute; durations of what was completed.
-- Half of them were not longer than the middle of the bucket in which the count of all shorter ones passes the half.
WITH recent AS (
    SELECT task, status, bucket, sum(count) AS count, sum(duration_s) AS duration_s, max(longest_s) AS longest_s
      FROM stats_minutes
     WHERE minute >= date_trunc('minute', now() - interval '1 hour') AND project = $1
     GROUP BY task, status, bucket
), ranked AS (
    SELECT *, sum(count) OVER (PARTITION BY task ORDER BY bucket) AS up_to, sum(count) OVER (PARTITION BY task) AS of_all
      FROM recent WHERE status = 'completed' AND bucket IS NOT NULL
), completed AS (
    SELECT task, sum(duration_s) / sum(count) AS mean, max(longest_s) AS longest,
           power(2, (min(bucket) FILTER (WHERE 2 * up_to >= of_all) + 0.5) / 4.0) AS median
      FROM ranked GROUP BY task
), counted AS (
    SELECT task, coalesce(sum(count) FILTER (WHERE status = 'completed'), 0) AS completed,
           coalesce(sum(count) FILTER (WHERE status = 'failed'), 0) AS failed FROM recent GROUP BY task
)
SELECT coalesce(json_agg(json_build_object(
           'task', t.task, 'completed', t.completed, 'failed', t.failed, 'mean_s', c.mean,
           'p50_s', least(c.median, c.longest), 'max_s', c.longest) ORDER BY t.task), '[]')
  FROM counted AS t LEFT JOIN completed AS c ON c.task = t.task

-- name: counted_at
SELECT counted_at FROM stats_cursor
