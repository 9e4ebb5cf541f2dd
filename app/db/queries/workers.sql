-- name: register
-- A worker process begins: its lease starts now.
INSERT INTO workers (id, name, version, queues, tasks, process_slots, inline_slots, lease_expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + $8::double precision * interval '1 second')

-- name: beat
SELECT beat_worker($1, $2, $3::jsonb)

-- name: leave
-- A worker takes no more work (draining), or has ended (stopped).
UPDATE workers SET state = $2 WHERE id = $1 AND state IN ('live', 'draining')

-- name: expire
SELECT expire_workers()

-- name: scheduler_beat
INSERT INTO schedulers (id, name) VALUES ($1, $2)
ON CONFLICT (id) DO UPDATE SET heartbeat_at = clock_timestamp()

-- name: scheduler_leave
DELETE FROM schedulers WHERE id = $1

-- name: holds_lease
SELECT EXISTS (SELECT FROM workers WHERE name = $1 AND state = 'live' AND lease_expires_at > clock_timestamp())

-- name: alive
-- How many workers hold a lease, and how many schedulers have been seen lately.
SELECT (SELECT count(*) FROM workers WHERE state IN ('live', 'draining') AND lease_expires_at > clock_timestamp())
           AS workers,
       (SELECT count(*) FROM schedulers WHERE heartbeat_at > clock_timestamp() - $1::double precision * interval '1 second')
           AS schedulers

-- name: recent
-- Workers that hold a lease, then those that ended within the last hour; of very many the newest. (now(), because an
-- index is no use to compare with clock_timestamp(), which might change from row to row.)
SELECT coalesce(json_agg(json_build_object(
           'id', w.id, 'name', w.name, 'version', w.version, 'state', w.state, 'queues', w.queues,
           'slots', json_build_object(
               'process', json_build_object('total', w.process_slots, 'busy', b.process),
               'inline', json_build_object('total', w.inline_slots, 'busy', b.inline)),
           'started_at', w.started_at, 'heartbeat_at', w.heartbeat_at, 'lease_expires_at', w.lease_expires_at)
           ORDER BY w.state IN ('live', 'draining') DESC, w.started_at DESC, w.id), '[]')
  FROM ((SELECT * FROM workers WHERE state IN ('live', 'draining') ORDER BY lease_expires_at DESC LIMIT 1000)
        UNION ALL
        (SELECT * FROM workers
          WHERE state IN ('stopped', 'lost') AND heartbeat_at > now() - interval '1 hour'
          ORDER BY heartbeat_at DESC LIMIT 200)) AS w
  CROSS JOIN LATERAL (
      SELECT count(*) FILTER (WHERE slot = 'process') AS process, count(*) FILTER (WHERE slot = 'inline') AS inline
        FROM stages WHERE worker_id = w.id AND status = 'running') AS b

-- name: fleet
-- How many workers hold a lease, and their slots; what runs of a lost one is busy nowhere.
SELECT json_build_object(
           'live', count(*) FILTER (WHERE w.state = 'live'), 'draining', count(*) FILTER (WHERE w.state = 'draining'),
           'slots', json_build_object(
               'process', json_build_object('total', coalesce(sum(w.process_slots), 0), 'busy', coalesce(sum(b.process), 0)),
               'inline', json_build_object('total', coalesce(sum(w.inline_slots), 0), 'busy', coalesce(sum(b.inline), 0))))
  FROM workers AS w
  CROSS JOIN LATERAL (
      SELECT count(*) FILTER (WHERE slot = 'process') AS process, count(*) FILTER (WHERE slot = 'inline') AS inline
        FROM stages WHERE worker_id = w.id AND status = 'running') AS b
 WHERE w.state IN ('live', 'draining')

-- name: installation
SELECT id FROM installation

-- name: is_new
SELECT NOT EXISTS (SELECT FROM workers)

-- name: durability
-- Settings that would break the promise that an answered pipeline survives.
SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes')
