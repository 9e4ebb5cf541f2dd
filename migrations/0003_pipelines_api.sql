-- What clients may do with a pipeline besides moving it through its life.

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
        SELECT coalesce(json_agg(json_build_object(
                   'stage', s.uuid, 'dispatch_token', s.dispatch_token, 'task', s.task, 'queue', s.queue,
                   'slot', s.slot, 'priority', p.priority, 'queued_at', s.queued_at)), '[]')
          FROM pipelines AS p JOIN stages AS s ON s.pipeline_id = p.id AND s.status || '' = 'queued'
         WHERE p.id = pipeline.id AND p.status = 'running' AND p.priority <> pipeline.priority));
END $$;

-- Pinned like the hot functions of the first migration, for the same reason.
DO $$
DECLARE
    hot text;
    setting text;
BEGIN
    FOREACH hot IN ARRAY ARRAY['patch_pipeline(uuid, jsonb)']
    LOOP
        FOREACH setting IN ARRAY ARRAY['enable_seqscan TO off', 'plan_cache_mode TO force_generic_plan']
        LOOP
            EXECUTE format('ALTER FUNCTION %s SET %s', hot, setting);
        END LOOP;
    END LOOP;
END $$;
