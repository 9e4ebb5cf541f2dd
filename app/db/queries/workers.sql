-- name: register
-- A worker process begins: its lease starts now.
INSERT INTO workers (id, name, version, queues, process_slots, inline_slots, lease_expires_at)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7::double precision * interval '1 second')

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

-- name: installation
SELECT id FROM installation

-- name: durability
-- Settings that would break the promise that an answered pipeline survives.
SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes')
