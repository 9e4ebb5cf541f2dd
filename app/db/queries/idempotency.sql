-- name: create_once
-- Store a pipeline under a key, unless the key is known or in flight.
SELECT create_pipeline_once($1, $2, $3, $4::jsonb, $5, $6)

-- name: find
-- What a key has stored; its pipeline may have been deleted since.
SELECT k.fingerprint, k.pipeline, EXISTS (SELECT FROM pipelines AS p WHERE p.uuid = k.pipeline) AS is_there
  FROM idempotency_keys AS k
 WHERE k.project = $1 AND k.key = $2 AND k.expires_at > clock_timestamp()

-- name: prune
-- Forget a batch of keys that have expired. One that is taken anew just now is left alone.
WITH expired AS (
    SELECT project, key FROM idempotency_keys WHERE expires_at <= clock_timestamp()
     ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
), pruned AS (
    DELETE FROM idempotency_keys AS k USING expired AS e WHERE k.project = e.project AND k.key = e.key
    RETURNING 1
)
SELECT count(*) FROM pruned
