-- name: create
INSERT INTO schedules (project, name, description, cron, timezone, template, version, params, pipeline, priority, labels,
                       overlap, catch_up, catch_up_max, paused, next_run_at)
SELECT $1, s.name, s.description, s.cron, s.timezone, s.template, s.version, s.params, s.pipeline, s.priority, s.labels,
       s.overlap, s.catch_up, s.catch_up_max, s.paused, $3
  FROM json_to_record($2::json) AS s (
           name text, description text, cron text, timezone text, template text, version integer, params jsonb,
           pipeline json, priority smallint, labels jsonb, overlap text, catch_up text, catch_up_max integer,
           paused boolean)

-- name: change
-- What a schedule is from now on, unless somebody has changed it since; its next slot stays if $5 says so.
UPDATE schedules AS o
   SET description = s.description, cron = s.cron, timezone = s.timezone, template = s.template, version = s.version,
       params = s.params, pipeline = s.pipeline, priority = s.priority, labels = s.labels, overlap = s.overlap,
       catch_up = s.catch_up, catch_up_max = s.catch_up_max, paused = s.paused,
       next_run_at = CASE WHEN $5 THEN o.next_run_at ELSE $4 END, revision = o.revision + 1,
       updated_at = clock_timestamp()
  FROM json_to_record($3::json) AS s (
           description text, cron text, timezone text, template text, version integer, params jsonb, pipeline json,
           priority smallint, labels jsonb, overlap text, catch_up text, catch_up_max integer, paused boolean)
 WHERE o.id = $1 AND o.revision = $2
RETURNING true

-- name: delete
DELETE FROM schedules WHERE id = $1 RETURNING true

-- name: now
SELECT clock_timestamp()

-- name: summary
-- What lists tell of a schedule.
'name', s.name, 'cron', s.cron, 'timezone', s.timezone, 'description', s.description, 'template', s.template,
'version', s.version, 'overlap', s.overlap, 'catch_up', s.catch_up, 'catch_up_max', s.catch_up_max, 'paused', s.paused,
'next_run_at', s.next_run_at, 'missed', s.missed, 'created_at', s.created_at, 'updated_at', s.updated_at,
'last_slot', (SELECT json_build_object('slot', slot, 'state', state, 'pipeline', pipeline, 'error', error,
                                       'decided_at', decided_at)
                FROM schedule_slots WHERE schedule_id = s.id ORDER BY slot DESC LIMIT 1)

-- name: get
-- Everything about a schedule, with its number and revision.
SELECT s.id, s.revision, json_build_object({summary},
           'params', s.params, 'pipeline', s.pipeline, 'priority', s.priority, 'labels', s.labels,
           'slots', (SELECT coalesce(json_agg(json_build_object(
                                'slot', n.slot, 'state', n.state, 'pipeline', n.pipeline, 'error', n.error,
                                'decided_at', n.decided_at) ORDER BY n.slot DESC), '[]')
                       FROM (SELECT * FROM schedule_slots WHERE schedule_id = s.id
                              ORDER BY slot DESC LIMIT 20) AS n)) AS item
  FROM schedules AS s WHERE s.project = $1 AND s.name = $2

-- name: page
SELECT coalesce(json_agg(json_build_object({summary}) ORDER BY s.name), '[]')
  FROM (SELECT * FROM schedules WHERE project = $1 AND name > $2 ORDER BY name LIMIT $3) AS s

-- name: due
-- Schedules whose next slot has come, and those with a slot that waits and has nothing in its way any more.
WITH due AS (
    (SELECT id, next_run_at AS slot, false AS waiting FROM schedules
      WHERE next_run_at <= clock_timestamp() ORDER BY next_run_at LIMIT $1)
    UNION ALL
    (SELECT w.schedule_id, w.slot, true FROM schedule_slots AS w
       JOIN schedules AS o ON o.id = w.schedule_id AND NOT o.paused
      WHERE w.state = 'waiting'
        AND NOT EXISTS (SELECT FROM schedule_slots AS f JOIN pipelines AS p ON p.uuid = f.pipeline
                         WHERE f.schedule_id = w.schedule_id AND f.state = 'fired' AND NOT f.ended
                           AND p.finished_at IS NULL)
      LIMIT $1)
)
SELECT coalesce(json_agg(json_build_object(
           'id', s.id, 'revision', s.revision, 'now', clock_timestamp(), 'slot', d.slot, 'waiting', d.waiting,
           'name', s.name, 'cron', s.cron, 'timezone', s.timezone, 'template', s.template, 'version', s.version,
           'params', s.params, 'pipeline', s.pipeline, 'priority', s.priority, 'labels', s.labels,
           'catch_up', s.catch_up, 'catch_up_max', s.catch_up_max) ORDER BY d.slot), '[]')
  FROM due AS d JOIN schedules AS s ON s.id = d.id

-- name: in_the_way
-- Pipelines to cancel, because a later slot of their schedule waits for that.
SELECT f.pipeline
  FROM schedule_slots AS w
  JOIN schedules AS s ON s.id = w.schedule_id AND s.overlap = 'cancel_other' AND NOT s.paused
  JOIN schedule_slots AS f ON f.schedule_id = w.schedule_id AND f.state = 'fired' AND NOT f.ended
  JOIN pipelines AS p ON p.uuid = f.pipeline AND p.status IN ('pending', 'running', 'paused')
 WHERE w.state = 'waiting'
 LIMIT $1

-- name: fire
SELECT fire_schedule($1, $2, $3, $4::jsonb, $5, $6, $7)

-- name: fire_waiting
SELECT fire_waiting_slot($1, $2, $3, $4::jsonb)

-- name: prune
-- Forget a batch of slots that are older than so many seconds; not those that still matter for the next one.
WITH old AS (
    SELECT schedule_id, slot FROM schedule_slots AS s
     WHERE slot < (SELECT max(n.slot) FROM schedule_slots AS n WHERE n.schedule_id = s.schedule_id)
       AND decided_at < clock_timestamp() - $1::double precision * interval '1 second'
       AND state <> 'waiting' AND (state <> 'fired' OR ended)
     LIMIT $2 FOR UPDATE SKIP LOCKED
), pruned AS (
    DELETE FROM schedule_slots AS s USING old AS o WHERE s.schedule_id = o.schedule_id AND s.slot = o.slot RETURNING 1
)
SELECT count(*) FROM pruned
