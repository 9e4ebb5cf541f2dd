-- What clients may do with a pipeline besides moving it through its life.

-- Lists and bulk actions walk these in the order of age, one status after the other. Two indexes, so that what is live
-- stays small and apart from history, and so that whatever changes while a pipeline lives is in neither.
CREATE INDEX pipelines_open ON pipelines (project, status, created_at, id) WHERE finished_at IS NULL;
CREATE INDEX pipelines_ended ON pipelines (project, status, created_at, id) WHERE finished_at IS NOT NULL;

CREATE TABLE idempotency_keys (
    -- Which pipeline a client's create call has made. The row outlives the pipeline, so that a late repetition of the
    -- call does not bring back what was deleted.
    project      text NOT NULL DEFAULT 'default',
    key          text NOT NULL CHECK (key ~ '^[!-~]{1,255}$'),
    fingerprint  bytea NOT NULL,
    pipeline     uuid NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (project, key)
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);

CREATE FUNCTION create_pipeline_once(client_key text, request_fingerprint bytea, kept_s double precision, spec jsonb,
                                     edges_from integer[], edges_to integer[]) RETURNS json LANGUAGE plpgsql AS $$
-- Stores a pipeline unless its key has stored one before (`known`), both in one transaction. Of two calls at once one
-- gets the lock; the other is told at once that its key is in flight. The lock ends with the transaction, after its row
-- can be seen. A key that has expired is free, pruned or not.
DECLARE
    owner text := spec ->> 'project';
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended(owner || ' ' || client_key, 0)) THEN
        RETURN json_build_object('in_flight', true);
    END IF;
    INSERT INTO idempotency_keys AS k (project, key, fingerprint, pipeline, expires_at)
    VALUES (owner, client_key, request_fingerprint, (spec ->> 'uuid')::uuid,
            clock_timestamp() + kept_s * interval '1 second')
        ON CONFLICT (project, key) DO UPDATE
       SET fingerprint = excluded.fingerprint, pipeline = excluded.pipeline, expires_at = excluded.expires_at
     WHERE k.expires_at <= clock_timestamp();
    IF NOT FOUND THEN
        RETURN json_build_object('known', true);
    END IF;
    RETURN create_pipeline(spec, edges_from, edges_to);
END $$;

CREATE FUNCTION patch_pipeline(target uuid, changes jsonb) RETURNS json LANGUAGE plpgsql AS $$
-- Changes what is for people (name, description, labels), in any state, and the priority; what `changes` does not have
-- stays. If the priority is another one, the queued stages are named, so that their jobs get their new places.
DECLARE
    pipeline pipelines;
BEGIN
    PERFORM set_config('lock_timeout', '2s', true);
    SELECT * INTO pipeline FROM pipelines WHERE uuid = target FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE pipelines
       SET name = coalesce(changes ->> 'name', name),
           description = coalesce(changes ->> 'description', description),
           labels = coalesce(changes -> 'labels', labels),
           priority = coalesce((changes ->> 'priority')::smallint, priority)
     WHERE id = pipeline.id AND changes <> '{}';
    RETURN json_build_object('queued', (
        SELECT coalesce(json_agg(job), '[]')
          FROM stages AS s CROSS JOIN LATERAL json_array_elements(to_dispatch(ARRAY[
                   ROW (s.pipeline_id, s.name, s.uuid, s.dispatch_token, s.task, s.queue, s.slot)::queued_stage],
                   s.queued_at)) AS job
         WHERE s.pipeline_id = pipeline.id AND s.status || '' = 'queued'
           AND (changes ->> 'priority')::smallint <> pipeline.priority));
END $$;

-- Pinned like the hot functions of the first migration, for the same reason.
DO $$
DECLARE
    hot text;
    setting text;
BEGIN
    FOREACH hot IN ARRAY ARRAY[
        'create_pipeline_once(text, bytea, double precision, jsonb, integer[], integer[])',
        'patch_pipeline(uuid, jsonb)', 'delete_pipeline(uuid)']
    LOOP
        FOREACH setting IN ARRAY ARRAY['enable_seqscan TO off', 'plan_cache_mode TO force_generic_plan']
        LOOP
            EXECUTE format('ALTER FUNCTION %s SET %s', hot, setting);
        END LOOP;
    END LOOP;
END $$;
