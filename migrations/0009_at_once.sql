-- A worker that ends a little may follow it up in the same transaction, and begin with what that makes possible.

CREATE FUNCTION complete_to_worker(
    completions jsonb, worker uuid, queues text[], tasks text[], free_inline integer, free_process integer,
    pipelines_max integer, dependents_max integer
) RETURNS json LANGUAGE plpgsql AS $$
-- complete_stages, without waiting for long; and where so few pipelines and dependents are concerned that their locks are
-- held for hardly longer, the second act with it: what waited for these stages is released, and of that as much claimed as
-- the worker serves and has slots free for, of each kind. What is queued and not claimed is left to be dispatched; what
-- is to be done besides is left to release_pipelines.
DECLARE
    pipelines bigint[];
    dependents bigint;
    is_little boolean;
    locked bigint[];
    moment timestamptz;
    done record; -- of end_attempts
    told record; -- of tell_dependents
    queued queued_stage[];
    skips new_event[];
    wanted uuid[] := stages_of(completions);
    claimed uuid[];
    dispatch_tokens integer[];
    lease_tokens uuid[];
    started new_event[];
    answer record; -- of completed
    releasable boolean; -- what a scheduler has to look at: more has ended, was skipped or is to be tried again
BEGIN
    SELECT array_agg(DISTINCT s.pipeline_id), sum(s.dependents) INTO pipelines, dependents
      FROM stages AS s WHERE s.uuid = ANY (wanted);
    is_little := cardinality(pipelines) <= pipelines_max AND dependents <= dependents_max;
    locked := lock_pipelines(pipelines, false);
    moment := clock_timestamp();
    done := end_attempts(completions, wanted, locked, moment, is_little);
    IF is_little AND done.ended IS NOT NULL THEN
        told := tell_dependents(done.ended, moment);
        queued := told.queued;
        skips := told.skips;
    END IF;
    IF queued IS NOT NULL THEN
        SELECT array_agg(stage), array_agg(dispatch_token), array_agg(gen_random_uuid())
          INTO claimed, dispatch_tokens, lease_tokens
          FROM (SELECT q.stage, q.dispatch_token, q.slot, row_number() OVER (PARTITION BY q.slot ORDER BY q.place) AS n
                  FROM unnest(queued) WITH ORDINALITY
                       AS q (pipeline_id, name, stage, dispatch_token, task, queue, slot, place)
                 WHERE q.queue = ANY (queues) AND q.task = ANY (tasks)) AS served
         WHERE n <= CASE slot WHEN 'inline' THEN free_inline ELSE free_process END;
        IF EXISTS (SELECT FROM workers WHERE id = worker AND state = 'live' AND lease_expires_at > moment) THEN
            started := start_stages(worker, claimed, dispatch_tokens, lease_tokens, locked, moment);
        END IF;
    END IF;
    PERFORM append_events(done.news || queued_news(queued) || skips || started, moment);
    IF is_little AND done.ended IS NOT NULL AND (queued IS NULL OR cardinality(locked) > 1) THEN
        -- Those only, for the hints name no others.
        PERFORM settle_pipelines(ARRAY(SELECT e.pipeline_id FROM unnest(done.ended) AS e), moment);
    END IF;
    releasable := NOT is_little OR skips IS NOT NULL OR cardinality(done.ended) IS DISTINCT FROM cardinality(done.news);
    answer := completed(completions, wanted, locked, done.news, releasable);
    RETURN json_build_object(
        'hints', answer.hints, 'locked', answer.locked_out, 'stale', answer.stale,
        'queued', CASE WHEN cardinality(started) = cardinality(queued) THEN '[]' ELSE to_dispatch(queued, moment) END,
        'claims', CASE WHEN started IS NULL THEN '[]' ELSE granted(claimed, lease_tokens, locked) END);
END $$;

-- Pinned like the hot functions of the first migration, for the same reason.
ALTER FUNCTION complete_to_worker SET enable_seqscan TO off;
ALTER FUNCTION complete_to_worker SET plan_cache_mode TO force_generic_plan;
