-- A worker that releases what its own outcome makes possible may begin with it in the same transaction.

CREATE FUNCTION release_to_worker(
    ids bigint[], batch integer, worker uuid, queues text[], tasks text[], free_inline integer, free_process integer
) RETURNS json LANGUAGE plpgsql AS $$
-- release_pipelines, leaving out what stays locked, and then claim_stages for the first of what it queued that this worker
-- serves, as many of each kind as it has slots free. What is queued and not claimed is left to be dispatched.
DECLARE
    released json := release_pipelines(ids, batch, false);
    wanted uuid[];
    dispatch_tokens integer[];
    lease_tokens uuid[];
BEGIN
    SELECT array_agg(stage), array_agg(dispatch_token), array_agg(gen_random_uuid())
      INTO wanted, dispatch_tokens, lease_tokens
      FROM (SELECT q.stage, q.dispatch_token, q.slot, row_number() OVER (PARTITION BY q.slot ORDER BY q.place) AS n
              FROM ROWS FROM (json_to_recordset(released -> 'queued') AS (
                       stage uuid, dispatch_token integer, task text, queue text, slot text)) WITH ORDINALITY
                   AS q (stage, dispatch_token, task, queue, slot, place)
             WHERE q.queue = ANY (queues) AND q.task = ANY (tasks)) AS served
     WHERE n <= CASE slot WHEN 'inline' THEN free_inline ELSE free_process END;
    RETURN json_build_object('released', released, 'claimed', CASE WHEN wanted IS NULL THEN '{}'
        ELSE claim_stages(worker, wanted, dispatch_tokens, lease_tokens, false) END);
END $$;

-- Pinned like the hot functions of the first migration, for the same reason.
ALTER FUNCTION release_to_worker SET enable_seqscan TO off;
ALTER FUNCTION release_to_worker SET plan_cache_mode TO force_generic_plan;
