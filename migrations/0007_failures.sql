-- Why attempts failed.

CREATE TABLE failures (
    -- One row for each attempt that failed, timed out or was lost. Until it is diagnosed, which it is with its outcome
    -- unless an old worker reports that, the diagnosis is null and the version of its rules 0.
    pipeline_id   bigint NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    position      integer NOT NULL,
    attempt       integer NOT NULL,
    stage         uuid NOT NULL,
    task          text NOT NULL,
    failed_at     timestamptz NOT NULL,
    diagnosis     jsonb CHECK (jsonb_typeof(diagnosis) = 'object'),
    fingerprint   text GENERATED ALWAYS AS (diagnosis ->> 'fingerprint') STORED,
    category      text GENERATED ALWAYS AS (diagnosis ->> 'category') STORED,
    rule_version  integer NOT NULL GENERATED ALWAYS AS (coalesce((diagnosis ->> 'rule_version')::integer, 0)) STORED,
    PRIMARY KEY (pipeline_id, position, attempt)
);
-- The list walks along this one, newest first, and counts what it passes.
CREATE INDEX failures_by_age ON failures (failed_at, pipeline_id, position, attempt);
-- What newer rules have not seen yet.
CREATE INDEX failures_by_rules ON failures (rule_version, failed_at);

INSERT INTO failures (pipeline_id, position, attempt, stage, task, failed_at)
SELECT a.pipeline_id, a.position, a.attempt, s.uuid, s.task, a.finished_at
  FROM attempts AS a JOIN stages AS s ON s.pipeline_id = a.pipeline_id AND s.position = a.position
 WHERE a.outcome IN ('failed', 'timed_out', 'lost');

CREATE FUNCTION walk_failures(below_moment timestamptz, below_pipeline bigint, below_position integer,
                              below_attempt integer, since timestamptz, of_pipeline bigint, walked_max integer)
RETURNS TABLE (failed_at timestamptz, pipeline_id bigint, "position" integer, attempt integer, stage uuid, task text,
               fingerprint text, category text) LANGUAGE plpgsql STABLE AS $$
-- The newest `walked_max` failures below a place and not older than `since`, of one pipeline or of all.
BEGIN
    IF of_pipeline IS NULL THEN
        RETURN QUERY
        SELECT f.failed_at, f.pipeline_id, f.position, f.attempt, f.stage, f.task, f.fingerprint, f.category
          FROM failures AS f
         WHERE (f.failed_at, f.pipeline_id, f.position, f.attempt)
               < (below_moment, below_pipeline, below_position, below_attempt) AND f.failed_at >= since
         ORDER BY f.failed_at DESC, f.pipeline_id DESC, f.position DESC, f.attempt DESC LIMIT walked_max;
    ELSE
        -- All of the pipeline's, sorted: `+ 0 s` keeps the walk by age, which would pass those of all others, out of it.
        RETURN QUERY
        SELECT f.failed_at, f.pipeline_id, f.position, f.attempt, f.stage, f.task, f.fingerprint, f.category
          FROM failures AS f
         WHERE f.pipeline_id = of_pipeline
           AND (f.failed_at + interval '0 s', f.pipeline_id, f.position, f.attempt)
               < (below_moment, below_pipeline, below_position, below_attempt) AND f.failed_at + interval '0 s' >= since
         ORDER BY f.failed_at + interval '0 s' DESC, f.position DESC, f.attempt DESC LIMIT walked_max;
    END IF;
END $$;

CREATE FUNCTION diagnosis_of(pipeline bigint, stage integer, attempt integer) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT f.diagnosis FROM failures AS f WHERE f.pipeline_id = diagnosis_of.pipeline
               AND f.position = diagnosis_of.stage AND f.attempt = diagnosis_of.attempt);
END $$;

CREATE FUNCTION rediagnose_failures(diagnoses jsonb) RETURNS integer LANGUAGE plpgsql AS $$
-- Replaces diagnoses by those of newer rules, and returns how many that were. A stage shows the one of its newest attempt
-- for as long as it shows that one's error, and not that it has waited too long. No pipeline is locked here, so nothing is
-- waited for.
DECLARE
    replaced_count integer;
BEGIN
    WITH newer AS (
        SELECT (d -> 'key' ->> 0)::bigint AS pipeline_id, (d -> 'key' ->> 1)::integer AS position,
               (d -> 'key' ->> 2)::integer AS attempt, d -> 'diagnosis' AS diagnosis
          FROM jsonb_array_elements(diagnoses) AS d
    ), free AS MATERIALIZED (
        SELECT f.pipeline_id, f.position, f.attempt, n.diagnosis
          FROM newer AS n JOIN failures AS f ON f.pipeline_id = n.pipeline_id AND f.position = n.position
                                            AND f.attempt = n.attempt
         WHERE f.rule_version < (n.diagnosis ->> 'rule_version')::integer
           FOR NO KEY UPDATE OF f SKIP LOCKED
    ), replaced AS (
        UPDATE failures AS f SET diagnosis = n.diagnosis FROM free AS n
         WHERE f.pipeline_id = n.pipeline_id AND f.position = n.position AND f.attempt = n.attempt
        RETURNING f.pipeline_id, f.position, f.attempt, f.diagnosis
    ), shown AS (
        UPDATE stages AS s SET diagnosis = r.diagnosis
          FROM (SELECT t.pipeline_id, t.position, r.diagnosis
                  FROM replaced AS r JOIN stages AS t ON t.pipeline_id = r.pipeline_id AND t.position = r.position
                                                     AND t.attempt = r.attempt
                  JOIN attempts AS a ON a.pipeline_id = t.pipeline_id AND a.position = t.position
                                    AND a.attempt = t.attempt AND a.error = t.error
                   FOR NO KEY UPDATE OF t SKIP LOCKED) AS r
         WHERE s.pipeline_id = r.pipeline_id AND s.position = r.position
    )
    SELECT count(*) INTO replaced_count FROM replaced;
    RETURN replaced_count;
END $$;

CREATE FUNCTION stages_of(completions jsonb) RETURNS uuid[] LANGUAGE plpgsql IMMUTABLE AS $$
-- The stages whose attempts a batch tells of.
BEGIN
    RETURN ARRAY(SELECT (c ->> 'stage')::uuid FROM jsonb_array_elements(completions) AS c);
END $$;

CREATE FUNCTION end_attempts(
    completions jsonb, wanted uuid[], locked bigint[], moment timestamptz, followed_up boolean,
    OUT news new_event[], OUT ended ended_stage[]
) LANGUAGE plpgsql AS $$
-- Writes down how attempts ended, and why they failed if they did, in pipelines that the caller has locked. Only the
-- attempt that holds its stage may do it. `wanted`: the stages_of the batch. `followed_up`: the caller tells the
-- dependents in the same transaction.
BEGIN
    WITH decided AS MATERIALIZED (
        SELECT c.*, s.pipeline_id, s.position,
               CASE WHEN c.outcome = 'completed' THEN 'completed'
                         WHEN p.status = 'cancelling' OR s.cancel_asked THEN 'cancelled'
                         WHEN c.retry_delay_s IS NOT NULL THEN 'retrying'
                         WHEN c.outcome = 'cancelled' THEN 'cancelled'
                         ELSE 'failed' END AS status
          FROM jsonb_to_recordset(completions) AS c (
                   stage uuid, attempt integer, lease_token uuid, outcome text, result jsonb, error jsonb,
                   retry_delay_s double precision, costs_retry boolean, diagnosis jsonb)
          JOIN stages AS s ON s.uuid = c.stage AND s.uuid = ANY (wanted) AND s.pipeline_id + 0 = ANY (locked)
          JOIN pipelines AS p ON p.id = s.pipeline_id
    ), done AS (
        UPDATE stages AS s
           SET status = d.status, lease_token = NULL,
               result = CASE WHEN d.status = 'completed' THEN d.result END,
               error = CASE WHEN d.status <> 'completed' THEN d.error END,
               diagnosis = CASE WHEN d.status <> 'completed' THEN d.diagnosis END,
               progress = CASE WHEN d.status = 'completed' THEN 1 ELSE s.progress END,
               failures = s.failures + (d.costs_retry AND d.outcome IN ('failed', 'timed_out'))::integer,
               losses = CASE WHEN d.outcome = 'lost' THEN s.losses + 1 WHEN d.costs_retry THEN 0 ELSE s.losses END,
               retry_at = CASE WHEN d.status = 'retrying' THEN moment + d.retry_delay_s * interval '1 second' END,
               give_up_at = CASE WHEN d.status = 'retrying' THEN s.expires_at END,
               finished_at = CASE WHEN d.status <> 'retrying' THEN moment END,
               propagated = d.status <> 'retrying' AND (s.dependents = 0 OR followed_up)
          FROM decided AS d
         WHERE s.pipeline_id = d.pipeline_id AND s.position = d.position AND s.status || '' = 'running'
           AND s.attempt = d.attempt AND s.lease_token = d.lease_token
        RETURNING s.pipeline_id, s.position, s.name, s.uuid, s.task, s.attempt, s.status, s.error, s.diagnosis,
                  s.retry_at, d.outcome, d.error AS why, s.allow_failure
    ), recorded AS (
        UPDATE attempts AS a SET outcome = e.outcome, error = e.why, finished_at = moment FROM done AS e
         WHERE a.pipeline_id = e.pipeline_id AND a.position = e.position AND a.attempt = e.attempt
    ), diagnosed AS (
        INSERT INTO failures (pipeline_id, position, attempt, stage, task, failed_at, diagnosis)
        SELECT pipeline_id, position, attempt, uuid, task, moment, diagnosis FROM done
         WHERE outcome IN ('failed', 'timed_out', 'lost')
    )
    SELECT array_agg(ROW (pipeline_id, 'stage.' || status, name, CASE status
               WHEN 'completed' THEN json_build_object('task_id', uuid, 'attempt', attempt)
               WHEN 'retrying' THEN json_build_object('task_id', uuid, 'attempt', attempt, 'outcome', outcome,
                                                      'error', error, 'diagnosis', diagnosis,
                                                      'retry_at', retry_at)
               ELSE ended_news(json_build_object('task_id', uuid, 'attempt', attempt, 'outcome', outcome,
                                                 'error', error, 'diagnosis', diagnosis), allow_failure)
               END)::new_event),
           array_agg(ROW (pipeline_id, position, is_well(status, allow_failure))::ended_stage)
               FILTER (WHERE status <> 'retrying')
      INTO news, ended FROM done;
END $$;

CREATE FUNCTION completed(
    completions jsonb, wanted uuid[], locked bigint[], news new_event[], releasable boolean,
    OUT hints json, OUT locked_out json, OUT stale json
) LANGUAGE plpgsql AS $$
-- The answer to a batch of completions: `stale` ones came from an attempt that does not hold its stage, unless this very
-- attempt has said it before.
DECLARE
    are_all boolean := coalesce(cardinality(news), 0) = cardinality(wanted);
BEGIN
    hints := hints(ARRAY(SELECT DISTINCT n.pipeline_id FROM unnest(news) AS n), releasable);
    locked_out := CASE WHEN are_all THEN '[]' ELSE left_out(wanted, locked) END;
    stale := CASE WHEN are_all THEN '[]' ELSE (
        SELECT coalesce(json_agg(c.stage) FILTER (
                   WHERE s.uuid IS NULL OR (s.pipeline_id = ANY (locked) AND a.outcome IS DISTINCT FROM c.outcome)), '[]')
          FROM jsonb_to_recordset(completions) AS c (stage uuid, attempt integer, lease_token uuid, outcome text)
          LEFT JOIN stages AS s ON s.uuid = c.stage AND s.uuid = ANY (wanted)
          LEFT JOIN attempts AS a ON a.pipeline_id = s.pipeline_id AND a.position = s.position
                                 AND a.attempt = c.attempt AND a.lease_token = c.lease_token) END;
END $$;

CREATE FUNCTION complete_stages(completions jsonb, wait boolean) RETURNS json LANGUAGE plpgsql AS $$
-- The first of the two acts: an attempt's outcome with its event; nothing else. Releasing the dependents is the second act,
-- in release_pipelines.
DECLARE
    wanted uuid[] := stages_of(completions);
    locked bigint[] := lock_pipelines(ARRAY(
        SELECT DISTINCT s.pipeline_id FROM stages AS s WHERE s.uuid = ANY (wanted)), wait);
    moment timestamptz := clock_timestamp();
    news new_event[];
    answer record; -- of completed
BEGIN
    SELECT e.news INTO news FROM end_attempts(completions, wanted, locked, moment, false) AS e;
    PERFORM append_events(news, moment);
    answer := completed(completions, wanted, locked, news, true);
    RETURN json_build_object('hints', answer.hints, 'locked', answer.locked_out, 'stale', answer.stale);
END $$;

CREATE OR REPLACE FUNCTION expire_stages(locked bigint[], moment timestamptz) RETURNS new_event[] LANGUAGE plpgsql AS $$
-- Fails the stages of running pipelines that have waited for a start for longer than they may. No attempt
-- failed by that, and what was said of the one before does not explain it.
DECLARE
    news new_event[];
BEGIN
    WITH expired AS (
        UPDATE stages AS s
           SET status = 'failed', finished_at = moment, retry_at = NULL, give_up_at = NULL, propagated = s.dependents = 0,
               diagnosis = NULL,
               error = CASE WHEN s.expires_at <= moment
                   THEN jsonb_build_object('code', 'total_timeout', 'message', format(
                       'It did not end within its total timeout of %s s.', s.total_timeout_s))
                   ELSE jsonb_build_object('code', 'queue_timeout', 'message', format(
                       'It waited in the queue %s for longer than its queue timeout of %s s.', s.queue, s.queue_timeout_s))
                   END
         WHERE s.pipeline_id = ANY (locked) AND s.give_up_at <= moment AND s.queue || '' <> ALL ((SELECT paused_queues())::text[])
           AND EXISTS (SELECT FROM pipelines AS p WHERE p.id = s.pipeline_id AND p.status = 'running')
        RETURNING s.pipeline_id, s.name, s.uuid, s.attempt, s.error, s.allow_failure
    )
    SELECT array_agg(ROW (pipeline_id, 'stage.failed', name, ended_news(json_build_object(
               'task_id', uuid, 'attempt', attempt, 'outcome', NULL, 'error', error), allow_failure))::new_event)
      INTO news FROM expired;
    RETURN news;
END $$;

-- Pinned like the hot functions of the first migration, for the same reason; one that is replaced forgets it.
DO $$
DECLARE
    hot text;
    setting text;
BEGIN
    FOREACH hot IN ARRAY ARRAY[
        'complete_stages(jsonb, boolean)', 'expire_stages(bigint[], timestamptz)',
        'diagnosis_of(bigint, integer, integer)', 'rediagnose_failures(jsonb)',
        'walk_failures(timestamptz, bigint, integer, integer, timestamptz, bigint, integer)']
    LOOP
        FOREACH setting IN ARRAY ARRAY['enable_seqscan TO off', 'plan_cache_mode TO force_generic_plan']
        LOOP
            EXECUTE format('ALTER FUNCTION %s SET %s', hot, setting);
        END LOOP;
    END LOOP;
END $$;
ALTER FUNCTION walk_failures(timestamptz, bigint, integer, integer, timestamptz, bigint, integer)
    SET enable_bitmapscan TO off;
