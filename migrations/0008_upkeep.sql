-- What a deleted pipeline leaves on disk is remembered until it is removed, and pipelines that ended long ago may go. And
-- when periodic tasks last succeeded, and were last missed.

CREATE INDEX periodic_runs_by_outcome ON periodic_runs (name, outcome, slot);

CREATE TABLE artifacts_left (
    -- Deleted pipelines whose artifacts may lie on disk still.
    pipeline    uuid PRIMARY KEY,
    deleted_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION refuse_uuid_with_artifacts() RETURNS trigger LANGUAGE plpgsql AS $$
-- A pipeline that is made anew under the uuid of a deleted one must not find the files of that, nor lose its own to their
-- removal.
BEGIN
    IF EXISTS (SELECT FROM artifacts_left WHERE pipeline = NEW.uuid) THEN
        RAISE object_in_use USING MESSAGE = 'artifacts of a deleted pipeline are left under this uuid';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse_uuid_with_artifacts AFTER INSERT ON pipelines
   FOR EACH ROW EXECUTE FUNCTION refuse_uuid_with_artifacts();

-- Which pipelines stay for the sake of a checkpoint.
CREATE INDEX checkpoints_pinned ON checkpoints (pipeline_id) WHERE pinned;

CREATE OR REPLACE FUNCTION delete_pipeline(target uuid) RETURNS text LANGUAGE plpgsql AS $$
-- Removes a pipeline that is terminal or was never started, with all that hangs on it. Returns its status before.
DECLARE
    pipeline pipelines;
BEGIN
    PERFORM set_config('lock_timeout', '2s', true);
    SELECT * INTO pipeline FROM pipelines WHERE uuid = target FOR UPDATE;
    IF FOUND AND (pipeline.finished_at IS NOT NULL OR pipeline.status = 'pending') THEN
        DELETE FROM events WHERE pipeline_id = pipeline.id;
        DELETE FROM checkpoints WHERE pipeline_id = pipeline.id;
        DELETE FROM attempts WHERE pipeline_id = pipeline.id;
        DELETE FROM dependencies WHERE pipeline_id = pipeline.id;
        DELETE FROM stages WHERE pipeline_id = pipeline.id;
        DELETE FROM pipelines WHERE id = pipeline.id;
        INSERT INTO artifacts_left (pipeline) VALUES (target) ON CONFLICT DO NOTHING;
    END IF;
    RETURN pipeline.status;
END $$;

CREATE FUNCTION prune_pipeline(target uuid, ended_before timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
-- Deletes a pipeline that ended before then, unless one of its checkpoints is pinned; true if it did. One that somebody
-- is at has time until the next prune.
DECLARE
    pipeline pipelines;
BEGIN
    PERFORM set_config('lock_timeout', '2s', true);
    SELECT * INTO pipeline FROM pipelines WHERE uuid = target AND finished_at < ended_before FOR UPDATE NOWAIT;
    -- Locked, so that none is pinned from here on.
    PERFORM FROM checkpoints WHERE pipeline_id = pipeline.id ORDER BY id FOR UPDATE NOWAIT;
    IF pipeline.id IS NULL OR EXISTS (SELECT FROM checkpoints WHERE pipeline_id = pipeline.id AND pinned) THEN
        RETURN false;
    END IF;
    PERFORM delete_pipeline(target);
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END $$;

-- Pinned like the hot functions of the first migration, for the same reason.
DO $$
DECLARE
    hot text;
    setting text;
BEGIN
    FOREACH hot IN ARRAY ARRAY['delete_pipeline(uuid)', 'prune_pipeline(uuid, timestamptz)']
    LOOP
        FOREACH setting IN ARRAY ARRAY['enable_seqscan TO off', 'plan_cache_mode TO force_generic_plan']
        LOOP
            EXECUTE format('ALTER FUNCTION %s SET %s', hot, setting);
        END LOOP;
    END LOOP;
END $$;
