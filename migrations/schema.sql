--
-- PostgreSQL database dump
--

--
-- Name: attempt_number; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.attempt_number AS integer
	CONSTRAINT attempt_number_check CHECK ((VALUE > 0));

--
-- Name: attempt_outcome; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.attempt_outcome AS text
	CONSTRAINT attempt_outcome_check CHECK ((VALUE = ANY (ARRAY['completed'::text, 'failed'::text, 'timed_out'::text, 'cancelled'::text, 'lost'::text])));

--
-- Name: delay_s; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.delay_s AS double precision
	CONSTRAINT delay_s_check CHECK (((VALUE >= (0)::double precision) AND (VALUE <= (86400)::double precision)));

--
-- Name: ended_stage; Type: TYPE; Schema: public; Owner: -
--

CREATE TYPE public.ended_stage AS (
	pipeline_id bigint,
	"position" integer,
	went_well boolean
);

--
-- Name: event_number; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.event_number AS integer
	CONSTRAINT event_number_check CHECK ((VALUE > 0));

--
-- Name: event_type; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.event_type AS text
	CONSTRAINT event_type_check CHECK ((VALUE = ANY (ARRAY['pipeline.created'::text, 'pipeline.started'::text, 'pipeline.paused'::text, 'pipeline.resumed'::text, 'pipeline.cancelling'::text, 'pipeline.completed'::text, 'pipeline.failed'::text, 'pipeline.cancelled'::text, 'stage.queued'::text, 'stage.started'::text, 'stage.retrying'::text, 'stage.completed'::text, 'stage.failed'::text, 'stage.skipped'::text, 'stage.cancelled'::text])));

--
-- Name: fraction; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.fraction AS double precision
	CONSTRAINT fraction_check CHECK (((VALUE >= (0)::double precision) AND (VALUE <= (1)::double precision)));

--
-- Name: jsonb_object; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.jsonb_object AS jsonb
	CONSTRAINT jsonb_object_check CHECK ((jsonb_typeof(VALUE) = 'object'::text));

--
-- Name: limit_s; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.limit_s AS double precision
	CONSTRAINT limit_s_check CHECK (((VALUE >= (1)::double precision) AND (VALUE <= (2592000)::double precision)));

--
-- Name: natural_number; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.natural_number AS integer
	CONSTRAINT natural_number_check CHECK ((VALUE >= 0));

--
-- Name: new_event; Type: TYPE; Schema: public; Owner: -
--

CREATE TYPE public.new_event AS (
	pipeline_id bigint,
	type text,
	subject text,
	data json
);

--
-- Name: pipeline_name; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.pipeline_name AS text
	CONSTRAINT pipeline_name_check CHECK (((length(VALUE) >= 1) AND (length(VALUE) <= 128)));

--
-- Name: pipeline_priority; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.pipeline_priority AS smallint
	CONSTRAINT pipeline_priority_check CHECK (((VALUE >= 1) AND (VALUE <= 10)));

--
-- Name: pipeline_size; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.pipeline_size AS integer
	CONSTRAINT pipeline_size_check CHECK (((VALUE >= 1) AND (VALUE <= 10000)));

--
-- Name: pipeline_status; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.pipeline_status AS text
	CONSTRAINT pipeline_status_check CHECK ((VALUE = ANY (ARRAY['pending'::text, 'running'::text, 'paused'::text, 'cancelling'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])));

--
-- Name: queue_name; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.queue_name AS text
	CONSTRAINT queue_name_check CHECK ((VALUE = ANY (ARRAY['training'::text, 'evaluation'::text, 'default'::text, 'preprocessing'::text, 'maintenance'::text])));

--
-- Name: queued_stage; Type: TYPE; Schema: public; Owner: -
--

CREATE TYPE public.queued_stage AS (
	pipeline_id bigint,
	name text,
	stage uuid,
	dispatch_token integer,
	task text,
	queue text,
	slot text
);

--
-- Name: retry_count; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.retry_count AS smallint
	CONSTRAINT retry_count_check CHECK (((VALUE >= 0) AND (VALUE <= 20)));

--
-- Name: retry_factor; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.retry_factor AS double precision
	CONSTRAINT retry_factor_check CHECK (((VALUE >= (1)::double precision) AND (VALUE <= (100)::double precision)));

--
-- Name: slot_kind; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.slot_kind AS text
	CONSTRAINT slot_kind_check CHECK ((VALUE = ANY (ARRAY['process'::text, 'inline'::text])));

--
-- Name: stage_name; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.stage_name AS text
	CONSTRAINT stage_name_check CHECK ((VALUE ~ '^[a-z0-9]([-_a-z0-9]{0,61}[a-z0-9])?$'::text));

--
-- Name: stage_status; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.stage_status AS text
	CONSTRAINT stage_status_check CHECK ((VALUE = ANY (ARRAY['pending'::text, 'queued'::text, 'running'::text, 'retrying'::text, 'completed'::text, 'failed'::text, 'skipped'::text, 'cancelled'::text])));

--
-- Name: trigger_rule; Type: DOMAIN; Schema: public; Owner: -
--

CREATE DOMAIN public.trigger_rule AS text
	CONSTRAINT trigger_rule_check CHECK ((VALUE = ANY (ARRAY['all_completed'::text, 'all_done'::text, 'any_failed'::text])));

--
-- Name: append_events(public.new_event[], timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.append_events(new_events public.new_event[], moment timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    AS $$
-- Numbers events gaplessly per pipeline, in array order, and keeps the pipelines' counters with them. The caller holds
-- the pipelines' locks; that, and not a sequence, is what makes seq follow the order of commits.
DECLARE
    here bigint; -- their place among those of all pipelines (next migration)
BEGIN
    IF new_events IS NULL THEN
        RETURN;
    END IF;
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    here := next_place();
    WITH numbered AS MATERIALIZED (
        SELECT e.pipeline_id, p.last_seq + row_number() OVER (PARTITION BY e.pipeline_id ORDER BY e.place) AS seq,
               e.type, e.subject, e.data
          FROM unnest(new_events) WITH ORDINALITY AS e (pipeline_id, type, subject, data, place)
          JOIN pipelines AS p ON p.id = e.pipeline_id
    ), stored AS (
        INSERT INTO events (pipeline_id, seq, type, subject, data, "time", place)
        SELECT pipeline_id, seq, type, subject, data, moment, here FROM numbered
    )
    UPDATE pipelines AS p
       SET last_seq = n.last_seq, open_stages = p.open_stages - n.ended, broken_stages = p.broken_stages + n.broken
      FROM (SELECT pipeline_id, max(seq) AS last_seq,
                   count(*) FILTER (WHERE type IN ('stage.completed', 'stage.failed', 'stage.skipped',
                                                   'stage.cancelled')) AS ended,
                   count(*) FILTER (WHERE type IN ('stage.failed', 'stage.cancelled')
                                      AND data ->> 'allowed' IS NULL) AS broken
              FROM numbered GROUP BY pipeline_id) AS n
     WHERE p.id = n.pipeline_id;
END $$;

--
-- Name: beat_worker(uuid, double precision, jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.beat_worker(worker uuid, lease_timeout_s double precision, held jsonb) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
-- Renews a worker's lease and compares notes with it. `lost`: the lease was already taken, stop everything. `cancelled`:
-- lease tokens that are held, and to be stopped. `fenced`: held, but no longer the worker's. `strangers`: the worker's for a whole lease,
-- but not held, so a claim whose answer got lost; the worker hands them back.
DECLARE
    moment timestamptz;
BEGIN
    -- A beat lost in a crash of Postgres costs a fraction of a lease, so it need not wait for the disk.
    PERFORM set_config('synchronous_commit', 'off', true);
    -- Locked before the clock is read: of two beats at once the one that waited must not set the lease back.
    PERFORM FROM workers WHERE id = worker AND state IN ('live', 'draining') FOR NO KEY UPDATE;
    moment := clock_timestamp();
    UPDATE workers SET heartbeat_at = moment, lease_expires_at = moment + lease_timeout_s * interval '1 second'
     WHERE id = worker AND state IN ('live', 'draining');
    IF NOT FOUND THEN
        RETURN json_build_object('lost', true);
    END IF;
    RETURN (
        WITH mine AS (
            SELECT s.uuid, s.attempt, s.lease_token, s.started_at, s.cancel_asked OR p.status = 'cancelling' AS cancelled
              FROM stages AS s JOIN pipelines AS p ON p.id = s.pipeline_id
             WHERE s.worker_id = worker AND s.status = 'running'
        )
        SELECT json_build_object(
                   'lost', false,
                   'cancelled', coalesce(json_agg(h.lease_token) FILTER (WHERE h.stage IS NOT NULL AND m.cancelled), '[]'),
                   'fenced', coalesce(json_agg(h.lease_token) FILTER (WHERE m.uuid IS NULL), '[]'),
                   'strangers', coalesce(json_agg(json_build_object(
                       'stage', m.uuid, 'attempt', m.attempt, 'lease_token', m.lease_token)) FILTER (
                       WHERE h.stage IS NULL AND m.started_at < moment - lease_timeout_s * interval '1 second'), '[]'))
          FROM jsonb_to_recordset(held) AS h (stage uuid, lease_token uuid)
          FULL JOIN mine AS m ON m.uuid = h.stage AND m.lease_token = h.lease_token);
END $$;

--
-- Name: cancel_pipeline(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.cancel_pipeline(target uuid) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
-- pending | running | paused → cancelling: what waits is cancelled at once, what runs hears it from its worker's next
-- beat. With nothing running the pipeline settles here and now. A second call while cancelling changes nothing.
DECLARE
    pipeline pipelines;
    moment timestamptz;
    news new_event[];
BEGIN
    PERFORM set_config('lock_timeout', '2s', true);
    SELECT * INTO pipeline FROM pipelines WHERE uuid = target FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF pipeline.status = 'cancelling' THEN
        RETURN json_build_object('hints', '[]'::json, 'queued', '[]'::json);
    ELSIF pipeline.finished_at IS NOT NULL THEN
        RETURN json_build_object('refused', pipeline.status);
    END IF;
    moment := clock_timestamp();
    UPDATE pipelines SET status = 'cancelling' WHERE id = pipeline.id;
    WITH stopped AS (
        UPDATE stages AS s
           SET status = 'cancelled', finished_at = moment, retry_at = NULL, give_up_at = NULL, propagated = true
         WHERE s.pipeline_id = pipeline.id AND s.status IN ('pending', 'queued', 'retrying')
        RETURNING s.position, s.name, s.uuid, s.allow_failure
    )
    SELECT ROW (pipeline.id, 'pipeline.cancelling', NULL, '{}'::json)::new_event
           || array_agg(ROW (pipeline.id, 'stage.cancelled', name,
                             ended_news(json_build_object('task_id', uuid), allow_failure))::new_event ORDER BY position)
      INTO news FROM stopped;
    PERFORM append_events(news, moment);
    PERFORM settle_pipelines(ARRAY[pipeline.id], moment);
    RETURN json_build_object('hints', hints(ARRAY[pipeline.id], false), 'queued', '[]'::json);
END $$;

--
-- Name: cancel_stage(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.cancel_stage(target uuid) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
-- Cancels one stage: at once if it waits, by its worker if it runs. A second call changes nothing. What depends on it is
-- told by the next release.
DECLARE
    pipeline pipelines;
    stage stages;
    moment timestamptz;
BEGIN
    PERFORM set_config('lock_timeout', '2s', true);
    SELECT * INTO pipeline FROM pipelines WHERE id = (SELECT s.pipeline_id FROM stages AS s WHERE s.uuid = target)
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT * INTO stage FROM stages WHERE uuid = target;
    IF stage.finished_at IS NOT NULL THEN
        RETURN json_build_object('refused', stage.status);
    ELSIF pipeline.status = 'pending' THEN
        RETURN json_build_object('refused', 'pending');
    ELSIF stage.status = 'running' THEN
        UPDATE stages SET cancel_asked = true WHERE uuid = target AND NOT cancel_asked;
        RETURN json_build_object('hints', '[]'::json, 'queued', '[]'::json);
    END IF;
    moment := clock_timestamp();
    UPDATE stages AS s
       SET status = 'cancelled', finished_at = moment, retry_at = NULL, give_up_at = NULL, propagated = s.dependents = 0
     WHERE s.uuid = target;
    PERFORM append_events(ARRAY[ROW (pipeline.id, 'stage.cancelled', stage.name, ended_news(json_build_object(
        'task_id', stage.uuid), stage.allow_failure))::new_event], moment);
    RETURN json_build_object('hints', hints(ARRAY[pipeline.id], true), 'queued', '[]'::json);
END $$;

--
-- Name: claim_stages(uuid, uuid[], integer[], uuid[], boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.claim_stages(worker uuid, wanted uuid[], dispatch_tokens integer[], lease_tokens uuid[], wait boolean) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
-- Claims stages for a worker whose lease still holds (start_stages). Repeated with the same lease tokens it gives the same
-- answer.
DECLARE
    locked bigint[] := lock_pipelines(ARRAY(
        SELECT DISTINCT s.pipeline_id FROM stages AS s WHERE s.uuid = ANY (wanted)), wait);
    moment timestamptz := clock_timestamp();
    news new_event[];
BEGIN
    IF NOT EXISTS (SELECT FROM workers WHERE id = worker AND state = 'live' AND lease_expires_at > moment) THEN
        RETURN json_build_object('worker_lost', true);
    END IF;
    news := start_stages(worker, wanted, dispatch_tokens, lease_tokens, locked, moment);
    PERFORM append_events(news, moment);
    RETURN json_build_object('claims', granted(wanted, lease_tokens, locked),
                             'locked', CASE WHEN cardinality(news) = cardinality(wanted) THEN '[]' ELSE left_out(wanted, locked) END,
                             'hints', hints(ARRAY(SELECT DISTINCT n.pipeline_id FROM unnest(news) AS n), false));
END $$;

--
-- Name: complete_stages(jsonb, boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.complete_stages(completions jsonb, wait boolean) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

--
-- Name: complete_to_worker(jsonb, uuid, text[], text[], integer, integer, integer, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.complete_to_worker(completions jsonb, worker uuid, queues text[], tasks text[], free_inline integer, free_process integer, pipelines_max integer, dependents_max integer) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

--
-- Name: completed(jsonb, uuid[], bigint[], public.new_event[], boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.completed(completions jsonb, wanted uuid[], locked bigint[], news public.new_event[], releasable boolean, OUT hints json, OUT locked_out json, OUT stale json) RETURNS record
    LANGUAGE plpgsql
    AS $$
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

--
-- Name: continue_places(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.continue_places() RETURNS void
    LANGUAGE plpgsql
    AS $$
-- Where a dump was restored, transaction ids have begun anew, and new events would stand before the old ones, where no
-- reader looks any more. From here on they follow the last one again. Changes nothing anywhere else.
DECLARE
    next bigint := place_of(pg_snapshot_xmax(pg_current_snapshot()));
    last bigint := (SELECT max(place) FROM events);
BEGIN
    IF last >= next THEN
        EXECUTE format('CREATE OR REPLACE FUNCTION places_before() RETURNS bigint LANGUAGE sql STABLE AS %L',
                       format('SELECT %s::bigint', places_before() + last - next + 1));
    END IF;
END $$;

--
-- Name: count_ends(integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.count_ends(batch integer) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
-- Adds the ends of stages to the statistics, each exactly once: the cursor moves in the same transaction, and only over
-- places where nothing can be added any more (0002). Whoever comes while another counts has nothing to do. Returns how
-- many ends were `counted`, and whether there is `more`: about `batch` events are looked at.
DECLARE
    was stats_cursor;
    moment timestamptz := clock_timestamp();
    settled bigint;
    stop bigint;
    counted integer;
BEGIN
    -- What a crash of Postgres loses is counted again, so this need not wait for the disk.
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT * INTO was FROM stats_cursor FOR UPDATE SKIP LOCKED;
    settled := settled_place(); -- after the lock, so not below where the one before has stopped
    IF NOT FOUND OR was.place >= settled THEN
        RETURN json_build_object('counted', 0, 'more', false);
    END IF;
    -- Places are not divided: a batch ends before the one that it would have to leave in the middle, unless that is all.
    SELECT greatest(e.place, was.place + 1) INTO stop
      FROM events AS e WHERE e.place >= was.place AND e.place < settled ORDER BY e.place OFFSET batch LIMIT 1;
    stop := coalesce(stop, settled);

    WITH ended AS MATERIALIZED (
        SELECT p.project, s.task, s.queue, substr(e.type, 7) AS status, date_trunc('minute', e."time") AS minute,
               extract(epoch FROM a.finished_at - a.started_at)::double precision AS duration_s
          FROM events AS e
          JOIN pipelines AS p ON p.id = e.pipeline_id
          JOIN stages AS s ON s.uuid = (e.data ->> 'task_id')::uuid
          LEFT JOIN attempts AS a ON a.pipeline_id = s.pipeline_id AND a.position = s.position
                                 AND a.attempt = (e.data ->> 'attempt')::integer AND a.finished_at = e."time"
         WHERE e.place >= was.place AND e.place < stop AND e."time" >= was.since
           AND e.type IN ('stage.completed', 'stage.failed', 'stage.skipped', 'stage.cancelled')
    ), totals AS (
        INSERT INTO stats_totals AS t (project, task, queue, status, count)
        SELECT project, task, queue, status, count(*) FROM ended GROUP BY project, task, queue, status
            ON CONFLICT (project, task, queue, status) DO UPDATE SET count = t.count + excluded.count
    ), minutes AS (
        INSERT INTO stats_minutes AS m (minute, project, task, status, bucket, count, duration_s, longest_s)
        SELECT minute, project, task, status,
               CASE WHEN duration_s IS NOT NULL THEN floor(4 / ln(2) * ln(greatest(duration_s, 0.001))) END AS bucket,
               count(*), coalesce(sum(duration_s), 0), coalesce(max(duration_s), 0)
          FROM ended WHERE status IN ('completed', 'failed') GROUP BY minute, project, task, status, bucket
            ON CONFLICT (minute, project, task, status, bucket) DO UPDATE
               SET count = m.count + excluded.count, duration_s = m.duration_s + excluded.duration_s,
                   longest_s = greatest(m.longest_s, excluded.longest_s)
    )
    SELECT count(*) INTO counted FROM ended;
    DELETE FROM stats_minutes WHERE minute < moment - interval '1 day';
    UPDATE stats_cursor SET place = stop, counted_at = moment;
    RETURN json_build_object('counted', counted, 'more', stop < settled);
END $$;

--
-- Name: create_pipeline(jsonb, integer[], integer[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.create_pipeline(spec jsonb, edges_from integer[], edges_to integer[]) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
-- Stores a pipeline with its stages and dependencies, and starts it if `spec.start`.
DECLARE
    pipeline bigint;
    moment timestamptz := clock_timestamp();
    queued queued_stage[];
    starts boolean := (spec ->> 'start')::boolean;
BEGIN
    INSERT INTO pipelines (uuid, project, name, description, priority, labels, stage_count, open_stages, status,
                           created_at, started_at)
    VALUES ((spec ->> 'uuid')::uuid, spec ->> 'project', spec ->> 'name', spec ->> 'description',
            (spec ->> 'priority')::smallint, spec -> 'labels', jsonb_array_length(spec -> 'stages'),
            jsonb_array_length(spec -> 'stages'), CASE WHEN starts THEN 'running' ELSE 'pending' END,
            moment, CASE WHEN starts THEN moment END)
    RETURNING id INTO pipeline;
    INSERT INTO stages (pipeline_id, position, uuid, name, task, queue, slot, params, "references", max_retries,
                        retry_delay_s, retry_backoff, retry_delay_max_s, timeout_s, queue_timeout_s, total_timeout_s,
                        trigger_rule, allow_failure, unmet, dependents)
    SELECT pipeline, s.position, s.uuid, s.name, s.task, s.queue, s.slot, s.params, s."references", s.max_retries,
           s.retry_delay_s, s.retry_backoff, s.retry_delay_max_s, s.timeout_s, s.queue_timeout_s, s.total_timeout_s,
           s.trigger_rule, s.allow_failure, s.unmet, s.dependents
      FROM jsonb_to_recordset(spec -> 'stages') AS s (
               position integer, uuid uuid, name text, task text, queue text, slot text, params jsonb,
               "references" jsonb, max_retries smallint, retry_delay_s double precision,
               retry_backoff double precision, retry_delay_max_s double precision, timeout_s double precision,
               queue_timeout_s double precision, total_timeout_s double precision, trigger_rule text,
               allow_failure boolean, unmet integer, dependents integer);
    INSERT INTO dependencies (pipeline_id, depends_on, stage)
    SELECT pipeline, e.depends_on, e.stage FROM unnest(edges_from, edges_to) AS e (depends_on, stage);

    IF starts THEN
        queued := queue_roots(pipeline, moment);
    END IF;
    PERFORM append_events(
        ARRAY[ROW (pipeline, 'pipeline.created', NULL,
                   json_build_object('name', spec ->> 'name', 'stages', jsonb_array_length(spec -> 'stages')))::new_event]
        || CASE WHEN starts THEN ARRAY[ROW (pipeline, 'pipeline.started', NULL, '{}'::json)::new_event] END
        || queued_news(queued), moment);
    RETURN json_build_object('hints', hints(ARRAY[pipeline], false), 'queued', to_dispatch(queued, moment));
END $$;

--
-- Name: create_pipeline_once(text, bytea, double precision, jsonb, integer[], integer[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.create_pipeline_once(client_key text, request_fingerprint bytea, kept_s double precision, spec jsonb, edges_from integer[], edges_to integer[]) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

--
-- Name: create_template(text, json); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.create_template(owner text, spec json) RETURNS json
    LANGUAGE plpgsql
    AS $$
-- Stores the next version of a template, unless the newest one is the same already; returns its number, and whether it
-- is new. Whoever comes at the same time waits, so that versions have no gaps.
DECLARE
    newest templates;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('template ' || owner || ' ' || (spec ->> 'name'), 0));
    SELECT * INTO newest FROM templates
     WHERE project = owner AND name = spec ->> 'name' ORDER BY version DESC LIMIT 1;
    IF newest.description = spec ->> 'description' AND newest.pipeline::jsonb = (spec -> 'pipeline')::jsonb
       AND newest.params_schema::jsonb = (spec -> 'params_schema')::jsonb THEN
        RETURN json_build_object('version', newest.version, 'is_new', false);
    END IF;
    INSERT INTO templates (project, name, version, description, params_schema, pipeline)
    VALUES (owner, spec ->> 'name', coalesce(newest.version, 0) + 1, spec ->> 'description', spec -> 'params_schema',
            spec -> 'pipeline');
    RETURN json_build_object('version', coalesce(newest.version, 0) + 1, 'is_new', true);
END $$;

--
-- Name: delete_pipeline(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.delete_pipeline(target uuid) RETURNS text
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

--
-- Name: diagnosis_of(bigint, integer, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.diagnosis_of(pipeline bigint, stage integer, attempt integer) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
BEGIN
    RETURN (SELECT f.diagnosis FROM failures AS f WHERE f.pipeline_id = diagnosis_of.pipeline
               AND f.position = diagnosis_of.stage AND f.attempt = diagnosis_of.attempt);
END $$;

--
-- Name: due_pipelines(integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.due_pipelines(batch integer) RETURNS SETOF bigint
    LANGUAGE sql STABLE
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
-- The pipelines with a stage whose next attempt is due, or that has waited too long for one.
    (SELECT s.pipeline_id FROM stages AS s WHERE s.status = 'retrying' AND s.retry_at <= clock_timestamp()
      ORDER BY s.retry_at LIMIT batch)
    UNION
    (SELECT s.pipeline_id FROM stages AS s JOIN pipelines AS p ON p.id = s.pipeline_id AND p.status = 'running'
      WHERE s.give_up_at <= clock_timestamp() AND s.queue <> ALL ((SELECT paused_queues())::text[]) ORDER BY s.give_up_at LIMIT batch)
$$;

--
-- Name: end_attempts(jsonb, uuid[], bigint[], timestamp with time zone, boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.end_attempts(completions jsonb, wanted uuid[], locked bigint[], moment timestamp with time zone, followed_up boolean, OUT news public.new_event[], OUT ended public.ended_stage[]) RETURNS record
    LANGUAGE plpgsql
    AS $$
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

--
-- Name: ended_news(json, boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.ended_news(data json, allowed boolean) RETURNS json
    LANGUAGE sql IMMUTABLE
    AS $$
-- The data of a stage.failed or stage.cancelled event; `allowed` marks those that do not break their pipeline.
    SELECT CASE WHEN allowed THEN (data::jsonb || '{"allowed": true}')::json ELSE data END
$$;

--
-- Name: expire_stages(bigint[], timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.expire_stages(locked bigint[], moment timestamp with time zone) RETURNS public.new_event[]
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

--
-- Name: expire_workers(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.expire_workers() RETURNS integer
    LANGUAGE plpgsql
    AS $$
-- Takes the leases that have run out. From here on such a worker can neither renew nor claim; its running stages are
-- rescued by completing their attempts as lost.
DECLARE
    expired integer;
BEGIN
    UPDATE workers SET state = 'lost'
     WHERE id IN (SELECT id FROM workers
                   WHERE state IN ('live', 'draining') AND lease_expires_at < clock_timestamp()
                     FOR UPDATE SKIP LOCKED)
       AND lease_expires_at < clock_timestamp();
    GET DIAGNOSTICS expired = ROW_COUNT;
    RETURN expired;
END $$;

--
-- Name: fire_schedule(bigint, bigint, timestamp with time zone, jsonb, timestamp with time zone[], bigint, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.fire_schedule(target bigint, seen_revision bigint, seen_slot timestamp with time zone, wanted jsonb, missed_slots timestamp with time zone[], missed_count bigint, following timestamp with time zone) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
-- Moves a schedule on to its `following` slot and decides the slots before it: those in `wanted`, oldest first, run as the
-- overlap policy says, the others are missed. Whoever has not seen the schedule as it is now by then changes nothing and
-- hears that it is `stale`; and a slot that has a row is never decided again. So of any number of schedulers one fires.
DECLARE
    schedule schedules;
    entry jsonb;
    moment timestamptz;
    state text;
    open boolean;
    waits boolean;
    one jsonb;
    hints jsonb := '[]';
    queued jsonb := '[]';
BEGIN
    PERFORM set_config('lock_timeout', '2s', true);
    SELECT * INTO schedule FROM schedules
     WHERE id = target AND revision = seen_revision AND next_run_at = seen_slot FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN json_build_object('stale', true);
    END IF;
    UPDATE schedules SET next_run_at = following, missed = schedule.missed + missed_count WHERE id = target;
    INSERT INTO schedule_slots (schedule_id, slot, state) SELECT target, m, 'missed' FROM unnest(missed_slots) AS m
        ON CONFLICT (schedule_id, slot) DO NOTHING;
    open := cardinality(open_pipelines(target)) > 0;
    waits := EXISTS (SELECT FROM schedule_slots AS s WHERE s.schedule_id = target AND s.state = 'waiting');
    FOR entry IN SELECT * FROM jsonb_array_elements(wanted) LOOP
        moment := (entry ->> 'slot')::timestamptz;
        state := CASE WHEN schedule.overlap = 'allow' OR NOT (open OR waits) THEN 'fired'
                      WHEN schedule.overlap = 'skip' OR (schedule.overlap = 'buffer_one' AND waits) THEN 'skipped'
                      ELSE 'waiting' END;
        IF state = 'waiting' THEN -- of several the newest, where the others are cancelled anyway
            UPDATE schedule_slots AS s SET state = 'skipped' WHERE s.schedule_id = target AND s.state = 'waiting';
            waits := true;
        END IF;
        INSERT INTO schedule_slots (schedule_id, slot, state)
        VALUES (target, moment, CASE WHEN state = 'fired' THEN 'skipped' ELSE state END)
            ON CONFLICT (schedule_id, slot) DO NOTHING;
        CONTINUE WHEN NOT FOUND OR state <> 'fired';
        one := fire_slot(target, moment, entry);
        open := open OR NOT entry ? 'error';
        hints := hints || (one -> 'hints');
        queued := queued || (one -> 'queued');
    END LOOP;
    RETURN json_build_object('hints', hints, 'queued', queued);
END $$;

--
-- Name: fire_slot(bigint, timestamp with time zone, jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.fire_slot(target bigint, the_slot timestamp with time zone, made jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    AS $$
-- Stores the pipeline of a slot whose row is there; the caller holds its schedule. `made` is the pipeline with its edges,
-- or the `error` that none could be made.
DECLARE
    from_stages integer[];
    to_stages integer[];
BEGIN
    IF made ? 'error' THEN
        UPDATE schedule_slots SET state = 'failed', error = made -> 'error', decided_at = clock_timestamp()
         WHERE schedule_id = target AND slot = the_slot;
        RETURN '{"hints": [], "queued": []}';
    END IF;
    UPDATE schedule_slots
       SET state = 'fired', pipeline = (made -> 'spec' ->> 'uuid')::uuid, decided_at = clock_timestamp()
     WHERE schedule_id = target AND slot = the_slot;
    SELECT coalesce(array_agg((e ->> 0)::integer), '{}'), coalesce(array_agg((e ->> 1)::integer), '{}')
      INTO from_stages, to_stages FROM jsonb_array_elements(made -> 'edges') AS e;
    RETURN create_pipeline(made -> 'spec', from_stages, to_stages);
END $$;

--
-- Name: fire_waiting_slot(bigint, bigint, timestamp with time zone, jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.fire_waiting_slot(target bigint, seen_revision bigint, the_slot timestamp with time zone, made jsonb) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
-- Runs the slot that waits, if it still does and nothing is in its way any more; else it is `stale`.
BEGIN
    PERFORM set_config('lock_timeout', '2s', true);
    PERFORM FROM schedules WHERE id = target AND revision = seen_revision AND NOT paused FOR NO KEY UPDATE;
    IF NOT FOUND OR cardinality(open_pipelines(target)) > 0
       OR NOT EXISTS (SELECT FROM schedule_slots AS s
                       WHERE s.schedule_id = target AND s.slot = the_slot AND s.state = 'waiting') THEN
        RETURN json_build_object('stale', true);
    END IF;
    RETURN fire_slot(target, the_slot, made);
END $$;

--
-- Name: give_up_at(timestamp with time zone, double precision, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.give_up_at(queued_at timestamp with time zone, queue_timeout_s double precision, expires_at timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    AS $$
-- When a stage that is queued now has waited long enough; null if it may wait for ever.
    SELECT least(queued_at + queue_timeout_s * interval '1 second', expires_at)
$$;

--
-- Name: granted(uuid[], uuid[], bigint[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.granted(wanted uuid[], lease_tokens uuid[], locked bigint[]) RETURNS json
    LANGUAGE sql
    AS $$
-- What the attempts need to run that hold their stages with these lease tokens.
    SELECT coalesce(json_agg(g), '[]') FROM (
        SELECT s.uuid AS stage, s.attempt, s.lease_token, p.uuid AS pipeline, p.name AS pipeline_name, s.name, s.task,
               s.slot, s.params, s."references", s.max_retries, s.failures, s.retry_delay_s, s.retry_backoff,
               s.retry_delay_max_s, s.timeout_s, date_part('epoch', s.started_at) AS started_at,
               date_part('epoch', s.expires_at) AS expires_at,
               CASE WHEN s.attempt > 1 THEN resume_point(s.pipeline_id, s.position) END AS resume_from
          FROM stages AS s JOIN pipelines AS p ON p.id = s.pipeline_id
         WHERE s.uuid = ANY (wanted) AND s.status || '' = 'running' AND s.pipeline_id + 0 = ANY (locked)
           AND s.lease_token = lease_tokens[array_position(wanted, s.uuid)]) AS g
$$;

--
-- Name: has_failed_dependency(bigint, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.has_failed_dependency(pipeline bigint, stage integer) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
-- Whether something that the stage waited for went wrong: it failed, was cancelled, or was skipped for want of its own.
-- An any_failed stage that nobody needed has not gone wrong.
    SELECT EXISTS (
        SELECT FROM dependencies AS d JOIN stages AS o ON o.pipeline_id = d.pipeline_id AND o.position = d.depends_on
         WHERE d.pipeline_id = has_failed_dependency.pipeline AND d.stage = has_failed_dependency.stage
           AND (o.status IN ('failed', 'cancelled') OR (o.status = 'skipped' AND o.trigger_rule <> 'any_failed')))
$$;

--
-- Name: hints(bigint[], boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.hints(ids bigint[], releasable boolean) RETURNS json
    LANGUAGE sql
    AS $$
-- Who has news: pipelines with the number of their last event, and whether a scheduler might have work there.
    SELECT coalesce(json_agg(json_build_object('pipeline_id', p.id, 'pipeline', p.uuid, 'seq', p.last_seq,
                                               'releasable', releasable)), '[]')
      FROM pipelines AS p WHERE p.id = ANY (ids)
$$;

--
-- Name: holds_lease(uuid, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.holds_lease(worker uuid, moment timestamp with time zone) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
-- Whether a worker may still be at work.
    SELECT EXISTS (SELECT FROM workers WHERE id = worker AND state IN ('live', 'draining') AND lease_expires_at > moment)
$$;

--
-- Name: periodic_runs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.periodic_runs (
    name text NOT NULL,
    slot timestamp with time zone NOT NULL,
    worker_id uuid,
    outcome text,
    done bigint,
    error jsonb,
    started_at timestamp with time zone,
    expires_at timestamp with time zone,
    finished_at timestamp with time zone,
    CONSTRAINT periodic_runs_check CHECK (((outcome IS NULL) = (finished_at IS NULL))),
    CONSTRAINT periodic_runs_check1 CHECK (((COALESCE(outcome, ''::text) = 'missed'::text) OR ((worker_id IS NOT NULL) AND (started_at IS NOT NULL) AND (expires_at IS NOT NULL)))),
    CONSTRAINT periodic_runs_error_check CHECK ((jsonb_typeof(error) = 'object'::text)),
    CONSTRAINT periodic_runs_outcome_check CHECK ((outcome = ANY (ARRAY['completed'::text, 'failed'::text, 'timed_out'::text, 'cancelled'::text, 'lost'::text, 'missed'::text])))
);

--
-- Name: is_lost(public.periodic_runs, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_lost(run public.periodic_runs, moment timestamp with time zone) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
-- Whether nobody will tell any more how a run has ended.
    SELECT run.outcome IS NULL AND (run.expires_at <= moment OR NOT holds_lease(run.worker_id, moment))
$$;

--
-- Name: is_well(text, boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_well(status text, allow_failure boolean) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
-- Whether the dependents of a stage that ended so may go on.
    SELECT status = 'completed' OR (allow_failure AND status IN ('failed', 'cancelled'))
$$;

--
-- Name: left_out(uuid[], bigint[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.left_out(wanted uuid[], locked bigint[]) RETURNS json
    LANGUAGE sql
    AS $$
-- The stages of a batch whose pipelines somebody else holds, one list for each pipeline.
    SELECT coalesce(json_agg(l.stages), '[]') FROM (
        SELECT json_agg(s.uuid) AS stages FROM stages AS s
         WHERE s.uuid = ANY (wanted) AND s.pipeline_id + 0 <> ALL (locked) GROUP BY s.pipeline_id) AS l
$$;

--
-- Name: live_counts(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.live_counts() RETURNS TABLE(status text, queue text, task text, count bigint)
    LANGUAGE sql STABLE
    SET enable_seqscan TO 'off'
    AS $$
-- How many stages there are of each status that is not terminal.
    SELECT s.status, s.queue, s.task, count(*) FROM stages AS s
     WHERE s.status IN ('pending', 'queued', 'running', 'retrying') GROUP BY s.status, s.queue, s.task
$$;

--
-- Name: lock_pipelines(bigint[], boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.lock_pipelines(ids bigint[], wait boolean) RETURNS bigint[]
    LANGUAGE plpgsql
    AS $$
-- Locks pipelines in id order and returns those it got. Of several it takes the free ones. For a single one it waits: a
-- moment, because whoever holds it works in milliseconds, or two seconds if the caller has come back for it. NO KEY
-- UPDATE, so that inserting what refers to a pipeline (KEY SHARE) never waits for a transition.
DECLARE
    locked bigint[];
BEGIN
    IF NOT wait OR cardinality(ids) = 1 THEN
        SELECT array_agg(p.id) INTO locked
          FROM (SELECT id FROM pipelines WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED) AS p;
    END IF;
    IF locked IS NULL AND (wait OR cardinality(ids) = 1) THEN
        PERFORM set_config('lock_timeout', CASE WHEN wait THEN '2s' ELSE '100ms' END, true);
        BEGIN
            SELECT array_agg(p.id) INTO locked
              FROM (SELECT id FROM pipelines WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE) AS p;
        EXCEPTION WHEN lock_not_available THEN
            NULL; -- left out, like any other that is locked
        END;
    END IF;
    RETURN coalesce(locked, '{}');
END $$;

--
-- Name: may_resume(text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.may_resume(stage_status text, pipeline_status text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
-- Whether a stage may still run or be retried, so that it needs its checkpoints to resume from.
    SELECT stage_status <> 'completed' OR pipeline_status IN ('failed', 'cancelled')
$$;

--
-- Name: next_place(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.next_place() RETURNS bigint
    LANGUAGE sql STABLE
    AS $$
    SELECT greatest(place_of(pg_current_xact_id()), place_of(pg_snapshot_xmax(pg_current_snapshot())) - 1)
$$;

--
-- Name: open_pipelines(bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.open_pipelines(schedule bigint) RETURNS uuid[]
    LANGUAGE sql
    SET enable_seqscan TO 'off'
    AS $$
-- The pipelines of a schedule that have not ended; those that have are not looked at a second time. One that is retried
-- after its end is not counted again.
    WITH over AS (
        UPDATE schedule_slots AS s SET ended = true
         WHERE s.schedule_id = schedule AND s.state = 'fired' AND NOT s.ended
           AND NOT EXISTS (SELECT FROM pipelines AS p WHERE p.uuid = s.pipeline AND p.finished_at IS NULL)
        RETURNING s.slot
    )
    SELECT coalesce(array_agg(s.pipeline), '{}') FROM schedule_slots AS s
     WHERE s.schedule_id = schedule AND s.state = 'fired' AND NOT s.ended AND s.slot NOT IN (SELECT slot FROM over)
$$;

--
-- Name: patch_pipeline(uuid, jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.patch_pipeline(target uuid, changes jsonb) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

--
-- Name: pause_pipeline(uuid, boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.pause_pipeline(target uuid, pause boolean) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
-- running ⇄ paused. Claims and dispatch look at the status; releases go on, and what runs may finish. A resume dispatches
-- all that is queued again, and gives what waits the time back that it could not have started in.
DECLARE
    pipeline pipelines;
    moment timestamptz;
BEGIN
    PERFORM set_config('lock_timeout', '2s', true);
    SELECT * INTO pipeline FROM pipelines WHERE uuid = target FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF pipeline.status <> (CASE WHEN pause THEN 'running' ELSE 'paused' END) THEN
        RETURN json_build_object('refused', pipeline.status);
    END IF;
    moment := clock_timestamp();
    UPDATE pipelines SET status = CASE WHEN pause THEN 'paused' ELSE 'running' END,
                         paused_at = CASE WHEN pause THEN moment END WHERE id = pipeline.id;
    UPDATE stages AS s SET give_up_at = s.give_up_at + (moment - greatest(coalesce(pipeline.paused_at, moment), s.queued_at))
     WHERE NOT pause AND s.pipeline_id = pipeline.id AND s.give_up_at IS NOT NULL;
    PERFORM append_events(ARRAY[ROW (pipeline.id, CASE WHEN pause THEN 'pipeline.paused' ELSE 'pipeline.resumed' END,
                                     NULL, '{}'::json)::new_event], moment);
    RETURN json_build_object('hints', hints(ARRAY[pipeline.id], false), 'queued', (
        SELECT coalesce(json_agg(json_build_object(
                   'stage', s.uuid, 'dispatch_token', s.dispatch_token, 'task', s.task, 'queue', s.queue,
                   'slot', s.slot, 'priority', pipeline.priority, 'queued_at', s.queued_at)), '[]')
          FROM stages AS s
         WHERE NOT pause AND s.pipeline_id = pipeline.id AND s.status = 'queued' AND s.queue <> ALL ((SELECT paused_queues())::text[])));
END $$;

--
-- Name: pause_queue(text, boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.pause_queue(target text, pause boolean) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
-- Holds back, or lets go, the stages of a queue; false if there is no such queue. A claim that is under way just now may
-- still start. What waits gets the time back that it could not have started in; whoever has a stage locked is starting
-- or ending it, so those are left out, and nobody is waited for.
DECLARE
    moment timestamptz := clock_timestamp();
    since timestamptz;
BEGIN
    SELECT paused_at INTO since FROM queues WHERE name = target FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF NOT pause AND since IS NOT NULL THEN
        UPDATE stages AS s SET give_up_at = s.give_up_at + (moment - greatest(since, s.queued_at))
          FROM (SELECT pipeline_id, position FROM stages
                 WHERE give_up_at IS NOT NULL AND queue = target FOR NO KEY UPDATE SKIP LOCKED) AS w
         WHERE s.pipeline_id = w.pipeline_id AND s.position = w.position;
    END IF;
    UPDATE queues SET paused_at = CASE WHEN pause THEN coalesce(paused_at, moment) END WHERE name = target;
    RETURN true;
END $$;

--
-- Name: paused_queues(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.paused_queues() RETURNS text[]
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce(array_agg(name), '{}') FROM queues WHERE paused_at IS NOT NULL
$$;

--
-- Name: place_of(xid8); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.place_of(id xid8) RETURNS bigint
    LANGUAGE sql STABLE
    AS $$SELECT id::text::bigint + places_before()$$;

--
-- Name: places_before(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.places_before() RETURNS bigint
    LANGUAGE sql STABLE
    AS $$SELECT 0::bigint$$;

--
-- Name: prune_pipeline(uuid, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.prune_pipeline(target uuid, ended_before timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

--
-- Name: purge_pipelines(bigint[], text, boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.purge_pipelines(ids bigint[], of_queue text, wait boolean) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
-- Cancels what is queued in these pipelines, on one queue or on any; what runs goes on.
DECLARE
    locked bigint[] := lock_pipelines(ids, wait);
    moment timestamptz := clock_timestamp();
    news new_event[];
BEGIN
    WITH purged AS (
        UPDATE stages AS s
           SET status = 'cancelled', finished_at = moment, give_up_at = NULL, propagated = s.dependents = 0
         WHERE s.pipeline_id = ANY (locked) AND s.status = 'queued' AND s.queue = coalesce(of_queue, s.queue)
        RETURNING s.pipeline_id, s.position, s.name, s.uuid, s.allow_failure
    )
    SELECT array_agg(ROW (pipeline_id, 'stage.cancelled', name, ended_news(json_build_object(
               'task_id', uuid), allow_failure))::new_event ORDER BY pipeline_id, position) INTO news FROM purged;
    PERFORM append_events(news, moment);
    RETURN json_build_object(
        'purged', coalesce(cardinality(news), 0),
        'hints', hints(ARRAY(SELECT DISTINCT n.pipeline_id FROM unnest(news) AS n), true),
        'locked', (SELECT coalesce(json_agg(i), '[]') FROM unnest(ids) AS i WHERE i <> ALL (locked)));
END $$;

--
-- Name: queue_depths(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.queue_depths() RETURNS TABLE(queue text, queued bigint, running bigint, oldest_at timestamp with time zone)
    LANGUAGE sql STABLE
    SET enable_seqscan TO 'off'
    AS $$
-- What waits in each queue and what runs of it.
    SELECT s.queue, count(*) FILTER (WHERE s.status = 'queued'), count(*) FILTER (WHERE s.status = 'running'),
           min(s.queued_at) FILTER (WHERE s.status = 'queued')
      FROM stages AS s WHERE s.status IN ('queued', 'running') GROUP BY s.queue
$$;

--
-- Name: queue_roots(bigint, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.queue_roots(pipeline bigint, moment timestamp with time zone) RETURNS public.queued_stage[]
    LANGUAGE plpgsql
    AS $$
-- Releases the stages that wait for nothing, at the start of a pipeline.
DECLARE
    queued queued_stage[];
BEGIN
    WITH roots AS (
        UPDATE stages AS s
           SET status = 'queued', queued_at = moment, dispatch_token = s.dispatch_token + 1,
               expires_at = moment + s.total_timeout_s * interval '1 second',
               give_up_at = give_up_at(moment, s.queue_timeout_s, moment + s.total_timeout_s * interval '1 second')
         WHERE s.pipeline_id = pipeline AND s.status = 'pending' AND s.unmet = 0
        RETURNING s.position, ROW (s.pipeline_id, s.name, s.uuid, s.dispatch_token, s.task, s.queue, s.slot)::queued_stage
            AS stage
    )
    SELECT array_agg(stage ORDER BY position) INTO queued FROM roots;
    RETURN queued;
END $$;

--
-- Name: queued_news(public.queued_stage[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.queued_news(queued public.queued_stage[]) RETURNS public.new_event[]
    LANGUAGE sql
    AS $$
-- The stage.queued events of stages that were just queued.
    SELECT array_agg(ROW (q.pipeline_id, 'stage.queued', q.name, json_build_object('task_id', q.stage))::new_event)
      FROM unnest(queued) AS q
$$;

--
-- Name: rediagnose_failures(jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.rediagnose_failures(diagnoses jsonb) RETURNS integer
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

--
-- Name: refuse_uuid_with_artifacts(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.refuse_uuid_with_artifacts() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
-- A pipeline that is made anew under the uuid of a deleted one must not find the files of that, nor lose its own to their
-- removal.
BEGIN
    IF EXISTS (SELECT FROM artifacts_left WHERE pipeline = NEW.uuid) THEN
        RAISE object_in_use USING MESSAGE = 'artifacts of a deleted pipeline are left under this uuid';
    END IF;
    RETURN NEW;
END $$;

--
-- Name: releasable_pipelines(integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.releasable_pipelines(batch integer) RETURNS SETOF bigint
    LANGUAGE sql STABLE
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
-- What the sweep has to look at: live pipelines with ended stages whose dependents were not told, with retries that
-- are due, with stages that have waited too long, or with nothing left to wait for. Each is an index of live rows only.
    SELECT pipeline_id FROM (
        (SELECT s.pipeline_id FROM stages AS s WHERE s.finished_at IS NOT NULL AND NOT s.propagated LIMIT batch)
        UNION
        (SELECT due_pipelines(batch))
        UNION
        (SELECT p.id FROM pipelines AS p WHERE p.all_ended AND p.status IN ('running', 'paused', 'cancelling') LIMIT batch)
    ) AS found (pipeline_id) LIMIT batch
$$;

--
-- Name: release_pipelines(bigint[], integer, boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.release_pipelines(ids bigint[], batch integer, wait boolean) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
-- The second act, for any set of pipelines and at any time: fails what has waited too long; tells the dependents of
-- stages that have ended, releasing or skipping those that now wait for nothing; queues the retries that are due;
-- settles. A pass ends after about `batch` ended stages, so that it never holds its locks for long, and names its
-- pipelines in `more` if there may be some left.
DECLARE
    locked bigint[] := lock_pipelines(ids, wait);
    moment timestamptz := clock_timestamp();
    ended ended_stage[];
    newly queued_stage[];
    queued queued_stage[];
    news new_event[] := expire_stages(locked, moment);
    skips new_event[];
    settled bigint[];
    handled integer := 0;
BEGIN
    WHILE handled < batch LOOP
        WITH untold AS (
            UPDATE stages AS s SET propagated = true
              FROM (SELECT e.pipeline_id, e.position FROM stages AS e
                     WHERE e.pipeline_id = ANY (locked) AND e.finished_at IS NOT NULL AND NOT e.propagated
                     LIMIT batch) AS t
             WHERE s.pipeline_id = t.pipeline_id AND s.position = t.position
            RETURNING ROW (s.pipeline_id, s.position, is_well(s.status, s.allow_failure))::ended_stage AS stage
        )
        SELECT array_agg(stage) INTO ended FROM untold;
        EXIT WHEN ended IS NULL;
        handled := handled + cardinality(ended);
        SELECT d.queued, d.skips INTO newly, skips FROM tell_dependents(ended, moment) AS d;
        queued := queued || newly;
        news := news || queued_news(newly) || skips;
        EXIT WHEN skips IS NULL; -- nothing new has ended
    END LOOP;

    WITH due AS (
        UPDATE stages AS s
           SET status = 'queued', queued_at = moment, retry_at = NULL, dispatch_token = s.dispatch_token + 1,
               give_up_at = give_up_at(moment, s.queue_timeout_s, s.expires_at)
         WHERE s.pipeline_id = ANY (locked) AND s.status = 'retrying' AND s.retry_at <= moment
        RETURNING s.pipeline_id, s.position,
            ROW (s.pipeline_id, s.name, s.uuid, s.dispatch_token, s.task, s.queue, s.slot)::queued_stage AS stage
    )
    SELECT array_agg(stage ORDER BY pipeline_id, position) INTO newly FROM due;
    queued := queued || newly;
    news := news || queued_news(newly);

    PERFORM append_events(news, moment);
    settled := settle_pipelines(locked, moment);
    RETURN json_build_object(
        'hints', hints(settled || ARRAY(SELECT DISTINCT n.pipeline_id FROM unnest(news) AS n), false), 'queued', to_dispatch(queued, moment),
        'more', CASE WHEN handled >= batch THEN to_json(locked) ELSE '[]' END,
        'locked', (SELECT coalesce(json_agg(i), '[]') FROM unnest(ids) AS i WHERE i <> ALL (locked)));
END $$;

--
-- Name: resume_point(bigint, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.resume_point(pipeline bigint, stage integer) RETURNS text
    LANGUAGE sql STABLE
    AS $$
-- Where a new attempt takes up the work: the newest complete checkpoint of the stage, from whichever attempt.
    SELECT path FROM checkpoints WHERE pipeline_id = pipeline AND position = stage AND state = 'complete'
     ORDER BY step DESC, id DESC LIMIT 1
$$;

--
-- Name: retry_pipeline(uuid, uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.retry_pipeline(target uuid, only_stage uuid) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
-- failed | cancelled → running, for the whole pipeline or one of its stages. Settles first, because the last completion may
-- not have been followed up. What stages_to_retry names begins again with a fresh budget, its attempts counted on; all
-- else is kept and, by the release at the end, tells those that begin again once more.
DECLARE
    pipeline pipelines;
    stage stages;
    moment timestamptz;
    chosen integer[];
    queued queued_stage[];
    released json;
BEGIN
    PERFORM set_config('lock_timeout', '2s', true);
    SELECT * INTO pipeline FROM pipelines WHERE uuid = target FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    moment := clock_timestamp();
    PERFORM settle_pipelines(ARRAY[pipeline.id], moment);
    SELECT * INTO pipeline FROM pipelines WHERE id = pipeline.id;
    IF pipeline.status NOT IN ('failed', 'cancelled') THEN
        RETURN json_build_object('refused', pipeline.status);
    END IF;
    IF only_stage IS NOT NULL THEN
        SELECT * INTO stage FROM stages WHERE uuid = only_stage AND pipeline_id = pipeline.id;
        IF stage.status NOT IN ('failed', 'cancelled') THEN
            RETURN json_build_object('refused', stage.status);
        END IF;
    END IF;
    chosen := stages_to_retry(pipeline.id, stage.position);
    UPDATE stages AS s SET propagated = s.dependents = 0
     WHERE s.pipeline_id = pipeline.id AND s.position <> ALL (chosen);
    UPDATE stages AS s
       SET status = 'pending', propagated = false, failures = 0, losses = 0, cancel_asked = false, worker_id = NULL,
           progress = NULL, result = NULL, error = NULL, diagnosis = NULL, queued_at = NULL, expires_at = NULL,
           started_at = NULL, finished_at = NULL,
           unmet = (SELECT count(*) FROM dependencies AS d WHERE d.pipeline_id = s.pipeline_id AND d.stage = s.position)
     WHERE s.pipeline_id = pipeline.id AND s.position = ANY (chosen);
    UPDATE pipelines AS p
       SET status = 'running', started_at = coalesce(p.started_at, moment), finished_at = NULL, error = NULL,
           open_stages = cardinality(chosen),
           broken_stages = (SELECT count(*) FROM stages AS s
                             WHERE s.pipeline_id = p.id AND s.status IN ('failed', 'cancelled') AND NOT s.allow_failure)
     WHERE p.id = pipeline.id;
    queued := queue_roots(pipeline.id, moment);
    PERFORM append_events(ARRAY[ROW (pipeline.id, 'pipeline.started', NULL, json_build_object(
                              'retry', true, 'stages', (SELECT coalesce(json_agg(s.name ORDER BY s.position), '[]') FROM stages AS s
                                                         WHERE s.pipeline_id = pipeline.id AND s.position = ANY (chosen)
                          )))::new_event] || queued_news(queued), moment);
    released := release_pipelines(ARRAY[pipeline.id], pipeline.stage_count, true);
    RETURN json_build_object(
        'hints', hints(ARRAY[pipeline.id], false),
        'queued', (to_dispatch(queued, moment)::jsonb || (released ->> 'queued')::jsonb)::json);
END $$;

--
-- Name: settle_pipelines(bigint[], timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.settle_pipelines(ids bigint[], moment timestamp with time zone) RETURNS bigint[]
    LANGUAGE plpgsql
    AS $$
-- Ends the pipelines among `ids`, all locked by the caller, that have no stage left to wait for; returns those.
DECLARE
    news new_event[];
BEGIN
    WITH settled AS (
        UPDATE pipelines AS p
           SET finished_at = moment,
               status = CASE WHEN p.status = 'cancelling' THEN 'cancelled'
                             WHEN p.broken_stages > 0 THEN 'failed' ELSE 'completed' END,
               error = CASE WHEN p.status <> 'cancelling' AND p.broken_stages > 0 THEN (
                   SELECT jsonb_build_object(
                              'code', 'stage_' || s.status, 'stage', s.name,
                              'message', format('Stage %s %s: %s', s.name,
                                                CASE s.status WHEN 'failed' THEN 'failed' ELSE 'was cancelled' END,
                                                coalesce(s.error ->> 'message', 'no reason was given')),
                              'error', s.error)
                     FROM stages AS s
                    WHERE s.pipeline_id = p.id AND s.status IN ('failed', 'cancelled') AND NOT s.allow_failure
                    ORDER BY s.finished_at, s.position LIMIT 1) END
         WHERE p.id = ANY (ids) AND p.open_stages = 0 AND p.status IN ('running', 'paused', 'cancelling')
        RETURNING p.id, p.status, p.error
    )
    SELECT array_agg(ROW (id, 'pipeline.' || status, NULL,
                          CASE WHEN error IS NULL THEN '{}'::json ELSE json_build_object('error', error) END)::new_event)
      INTO news FROM settled;
    PERFORM append_events(news, moment);
    RETURN ARRAY(SELECT n.pipeline_id FROM unnest(news) AS n);
END $$;

--
-- Name: settled_place(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.settled_place() RETURNS bigint
    LANGUAGE sql STABLE
    AS $$
-- All events below this place are visible, and no others will ever appear there.
    SELECT place_of(pg_snapshot_xmin(pg_current_snapshot()))
$$;

--
-- Name: slot_of(timestamp with time zone, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.slot_of(moment timestamp with time zone, interval_s integer) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE
    AS $$
-- The slot that a moment lies in.
    SELECT date_bin(make_interval(secs => interval_s), moment, timestamptz '1970-01-01 00:00:00+00')
$$;

--
-- Name: stages_of(jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.stages_of(completions jsonb) RETURNS uuid[]
    LANGUAGE plpgsql IMMUTABLE
    AS $$
-- The stages whose attempts a batch tells of.
BEGIN
    RETURN ARRAY(SELECT (c ->> 'stage')::uuid FROM jsonb_array_elements(completions) AS c);
END $$;

--
-- Name: stages_to_retry(bigint, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.stages_to_retry(pipeline bigint, only_stage integer) RETURNS integer[]
    LANGUAGE sql STABLE
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
-- The positions that begin again in a retry: all that failed or were cancelled, or the one that is asked for; and whatever
-- waits for one of them, because it was skipped, or because what it did on account of the failure is to be done anew.
    WITH RECURSIVE chosen (position) AS (
        SELECT s.position::integer FROM stages AS s
         WHERE s.pipeline_id = stages_to_retry.pipeline AND s.status IN ('failed', 'cancelled')
           AND s.position = coalesce(only_stage, s.position)
        UNION
        SELECT d.stage FROM chosen AS c
          JOIN dependencies AS d ON d.pipeline_id = stages_to_retry.pipeline AND d.depends_on = c.position
    )
    SELECT coalesce(array_agg(position), '{}') FROM chosen
$$;

--
-- Name: start_pipeline(uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.start_pipeline(target uuid) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
-- pending → running, and releases the roots. Null if there is no such pipeline, `refused` with its status if it does
-- not fit.
DECLARE
    pipeline pipelines;
    moment timestamptz;
    queued queued_stage[];
BEGIN
    PERFORM set_config('lock_timeout', '2s', true);
    SELECT * INTO pipeline FROM pipelines WHERE uuid = target FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF pipeline.status <> 'pending' THEN
        RETURN json_build_object('refused', pipeline.status);
    END IF;
    moment := clock_timestamp();
    UPDATE pipelines SET status = 'running', started_at = moment WHERE id = pipeline.id;
    queued := queue_roots(pipeline.id, moment);
    PERFORM append_events(ARRAY[ROW (pipeline.id, 'pipeline.started', NULL, '{}'::json)::new_event]
                          || queued_news(queued), moment);
    RETURN json_build_object('hints', hints(ARRAY[pipeline.id], false), 'queued', to_dispatch(queued, moment));
END $$;

--
-- Name: start_stages(uuid, uuid[], integer[], uuid[], bigint[], timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.start_stages(worker uuid, wanted uuid[], dispatch_tokens integer[], lease_tokens uuid[], locked bigint[], moment timestamp with time zone) RETURNS public.new_event[]
    LANGUAGE plpgsql
    AS $$
-- queued → running, one attempt each, for the stages that are still queued under that dispatch token, in pipelines that
-- are still running and queues that are not paused. The caller holds the pipelines' locks, and the worker its lease.
DECLARE
    open_pipelines bigint[] := ARRAY(SELECT id FROM pipelines WHERE id = ANY (locked) AND status = 'running');
    paused text[] := paused_queues();
    news new_event[];
BEGIN
    WITH started AS (
        UPDATE stages AS s
           SET status = 'running', attempt = s.attempt + 1, worker_id = worker, started_at = moment, progress = NULL,
               give_up_at = NULL,
               lease_token = lease_tokens[array_position(wanted, s.uuid)]
         WHERE s.uuid = ANY (wanted) AND s.pipeline_id + 0 = ANY (open_pipelines) AND s.status || '' = 'queued'
           AND s.dispatch_token = dispatch_tokens[array_position(wanted, s.uuid)] AND s.queue || '' <> ALL (paused)
        RETURNING s.pipeline_id, s.position, s.name, s.uuid, s.attempt, s.lease_token
    ), recorded AS (
        INSERT INTO attempts (pipeline_id, position, attempt, lease_token, worker_id, started_at)
        SELECT pipeline_id, position, attempt, lease_token, worker, moment FROM started
    )
    SELECT array_agg(ROW (pipeline_id, 'stage.started', name,
                          json_build_object('task_id', uuid, 'attempt', attempt, 'worker', worker))::new_event)
      INTO news FROM started;
    RETURN news;
END $$;

--
-- Name: take_periodic_slots(uuid, text[], integer[], double precision[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.take_periodic_slots(worker uuid, names text[], intervals_s integer[], leases_s double precision[]) RETURNS json
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
-- Gives the worker the slots that have begun and that nobody has taken, one for each task at most, and records those that
-- went by without anybody: all are counted, the newest hundred have a row. The row of the task is the lock, its last slot
-- the guard, and this clock the only one that decides; so a slot is taken once, whatever Redis or a worker's clock says.
-- A task whose last run goes on is left alone. A run is over when its worker has lost its lease, or after a lease of its
-- own, which is longer than it may take.
DECLARE
    task periodic_tasks;
    taken jsonb := '[]';
    moment timestamptz := clock_timestamp();
    present timestamptz;
    step interval;
    passed bigint;
BEGIN
    IF NOT holds_lease(worker, moment) THEN
        RETURN '[]';
    END IF;
    INSERT INTO periodic_tasks (name, interval_s) SELECT * FROM unnest(names, intervals_s) ON CONFLICT (name) DO NOTHING;
    FOR task IN
        SELECT t.name, i.interval_s, t.last_slot, t.missed
          FROM periodic_tasks AS t JOIN unnest(names, intervals_s) AS i (name, interval_s) ON i.name = t.name
         WHERE t.last_slot IS NULL OR t.last_slot < slot_of(clock_timestamp(), i.interval_s)
         ORDER BY t.name FOR UPDATE OF t SKIP LOCKED
    LOOP
        moment := clock_timestamp();
        present := slot_of(moment, task.interval_s);
        step := make_interval(secs => task.interval_s);
        UPDATE periodic_runs AS r
           SET outcome = 'lost', finished_at = moment,
               error = '{"code": "lost_worker", "message": "Its worker has not told how it ended."}'
         WHERE r.name = task.name AND r.outcome IS NULL AND is_lost(r, moment);
        CONTINUE WHEN EXISTS (SELECT FROM periodic_runs AS r WHERE r.name = task.name AND r.outcome IS NULL);
        passed := coalesce(greatest(0, ceil(extract(epoch FROM present - task.last_slot) / task.interval_s) - 1), 0);
        INSERT INTO periodic_runs (name, slot, outcome, finished_at)
        SELECT task.name, present - n * step, 'missed', moment FROM generate_series(1, least(passed, 100)) AS n
            ON CONFLICT (name, slot) DO NOTHING;
        INSERT INTO periodic_runs (name, slot, worker_id, started_at, expires_at)
        VALUES (task.name, present, worker, moment,
                moment + leases_s[array_position(names, task.name)] * interval '1 second')
            ON CONFLICT (name, slot) DO NOTHING;
        CONTINUE WHEN NOT FOUND;
        UPDATE periodic_tasks AS t
           SET last_slot = present, missed = t.missed + passed, interval_s = task.interval_s WHERE t.name = task.name;
        taken := taken || jsonb_build_object('name', task.name, 'slot', present);
    END LOOP;
    RETURN taken;
END $$;

--
-- Name: tell_dependents(public.ended_stage[], timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.tell_dependents(ended public.ended_stage[], moment timestamp with time zone, OUT queued public.queued_stage[], OUT skips public.new_event[]) RETURNS record
    LANGUAGE plpgsql
    AS $$
-- Releases or skips what waited for nothing but these stages, which have just ended.
--
-- A stage that did not go well (it was not completed, nor allowed to fail) skips the dependents that wait for
-- all_completed at once. The other rules count every end, and decide when all dependencies have ended.
BEGIN
    WITH told AS (
        SELECT d.pipeline_id, d.stage, count(*) AS ended, count(*) FILTER (WHERE e.went_well) AS well
          FROM unnest(ended) AS e
          JOIN dependencies AS d ON d.pipeline_id = e.pipeline_id AND d.depends_on = e.position
         GROUP BY d.pipeline_id, d.stage
    ), decided AS (
        SELECT t.pipeline_id, t.stage, s.unmet - m.met AS unmet,
               CASE WHEN s.trigger_rule = 'all_completed' AND t.well < t.ended THEN 'skipped'
                    WHEN s.unmet > m.met THEN 'pending'
                    WHEN s.trigger_rule = 'any_failed' AND NOT has_failed_dependency(t.pipeline_id, t.stage)
                    THEN 'skipped' ELSE 'queued' END AS status
          FROM told AS t
          JOIN stages AS s ON s.pipeline_id = t.pipeline_id AND s.position = t.stage AND s.status || '' = 'pending'
          CROSS JOIN LATERAL (
              SELECT CASE s.trigger_rule WHEN 'all_completed' THEN t.well ELSE t.ended END AS met) AS m
    ), moved AS (
        UPDATE stages AS s
           SET unmet = d.unmet, status = d.status,
               queued_at = CASE WHEN d.status = 'queued' THEN moment END,
               dispatch_token = s.dispatch_token + (d.status = 'queued')::integer,
               expires_at = CASE WHEN d.status = 'queued' THEN moment + s.total_timeout_s * interval '1 second' END,
               give_up_at = CASE WHEN d.status = 'queued' THEN give_up_at(
                   moment, s.queue_timeout_s, moment + s.total_timeout_s * interval '1 second') END,
               finished_at = CASE WHEN d.status = 'skipped' THEN moment END,
               propagated = d.status = 'skipped' AND s.dependents = 0,
               error = CASE WHEN d.status = 'skipped' THEN why_skipped(s.pipeline_id, s.position, s.trigger_rule) END
          FROM decided AS d
         WHERE s.pipeline_id = d.pipeline_id AND s.position = d.stage AND s.status || '' = 'pending'
        RETURNING s.status, s.pipeline_id, s.position, s.name, s.uuid, s.error,
            ROW (s.pipeline_id, s.name, s.uuid, s.dispatch_token, s.task, s.queue, s.slot)::queued_stage AS stage
    )
    SELECT array_agg(stage ORDER BY pipeline_id, position) FILTER (WHERE status = 'queued'),
           array_agg(ROW (pipeline_id, 'stage.skipped', name,
                          json_build_object('task_id', uuid, 'error', error))::new_event
                     ORDER BY pipeline_id, position) FILTER (WHERE status = 'skipped')
      INTO queued, skips FROM moved;
END $$;

--
-- Name: time_to_go(double precision, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.time_to_go(eta_s double precision, reported_at timestamp with time zone) RETURNS double precision
    LANGUAGE sql STABLE
    AS $$
-- What is left now of a time to go that was reported then; null if none was.
    SELECT CASE WHEN eta_s IS NOT NULL
                THEN greatest(0, eta_s - extract(epoch FROM clock_timestamp() - reported_at)) END
$$;

--
-- Name: to_dispatch(public.queued_stage[], timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.to_dispatch(queued public.queued_stage[], moment timestamp with time zone) RETURNS json
    LANGUAGE sql
    AS $$
-- What the caller has to put on Redis once its transaction has committed; nothing for pipelines that are not running,
-- nor for paused queues.
    SELECT coalesce(json_agg(d), '[]') FROM (
        SELECT q.stage, q.dispatch_token, q.task, q.queue, q.slot, p.priority, moment AS queued_at
          FROM unnest(queued) AS q JOIN pipelines AS p ON p.id = q.pipeline_id AND p.status = 'running'
         WHERE q.queue <> ALL ((SELECT paused_queues())::text[])) AS d
$$;

--
-- Name: walk_failures(timestamp with time zone, bigint, integer, integer, timestamp with time zone, bigint, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.walk_failures(below_moment timestamp with time zone, below_pipeline bigint, below_position integer, below_attempt integer, since timestamp with time zone, of_pipeline bigint, walked_max integer) RETURNS TABLE(failed_at timestamp with time zone, pipeline_id bigint, "position" integer, attempt integer, stage uuid, task text, fingerprint text, category text)
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_bitmapscan TO 'off'
    AS $$
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

--
-- Name: walk_stages(text, text[], text, text, bigint, integer, bigint, integer, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.walk_stages(walk text, statuses text[], of_task text, of_queue text, before_pipeline bigint, before_position integer, from_pipeline bigint, wanted integer, walked_max integer) RETURNS TABLE(pipeline_id bigint, "position" integer, matched boolean, stopped boolean)
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    AS $_$
-- The newest `wanted` stages between two places that pass the filters; a null filter lets all pass. It walks along those
-- of one status, or along all if `walk` is null, and stops where it has looked at `walked_max` of them.
DECLARE
    walked integer := 0;
BEGIN
    -- By name and not by parameter: only so is the index known to hold the status.
    FOR pipeline_id, "position", matched IN EXECUTE format(
        'SELECT s.pipeline_id, s.position, ($1 IS NULL OR s.status = ANY ($1)) AND ($2 IS NULL OR s.task = $2)
                                           AND ($3 IS NULL OR s.queue = $3)
           FROM stages AS s WHERE %s AND (s.pipeline_id, s.position) < ($4, $5) AND s.pipeline_id >= $6
          ORDER BY s.pipeline_id DESC, s.position DESC LIMIT $7',
        CASE WHEN walk IS NULL THEN 'true' ELSE format('s.status = %L', walk) END)
        USING statuses, of_task, of_queue, before_pipeline, before_position, from_pipeline, walked_max
    LOOP
        walked := walked + 1;
        stopped := walked = walked_max;
        wanted := wanted - matched::integer;
        IF matched OR stopped THEN
            RETURN NEXT;
        END IF;
        EXIT WHEN wanted = 0;
    END LOOP;
END $_$;

--
-- Name: why_held_back(text, text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.why_held_back(status text, queue text, task text) RETURNS text
    LANGUAGE sql STABLE
    AS $$
-- The words for a queued stage that no free slot would help: its queue is paused, or nobody serves it or knows its task.
    SELECT CASE
        WHEN status <> 'queued' THEN NULL
        WHEN queue = ANY (paused_queues()) THEN format('the queue %s is paused', queue)
        WHEN NOT EXISTS (SELECT FROM workers AS w WHERE w.state = 'live' AND w.lease_expires_at > now()
                            AND queue = ANY (w.queues)) THEN format('no live worker serves the queue %s', queue)
        WHEN NOT EXISTS (SELECT FROM workers AS w WHERE w.state = 'live' AND w.lease_expires_at > now()
                            AND queue = ANY (w.queues) AND task = ANY (w.tasks))
        THEN format('no live worker of the queue %s knows the task %s', queue, task) END
$$;

--
-- Name: why_skipped(bigint, integer, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.why_skipped(pipeline bigint, stage integer, rule text) RETURNS jsonb
    LANGUAGE sql STABLE
    AS $$
-- The error of a stage that is skipped now.
    SELECT CASE WHEN rule = 'any_failed' THEN jsonb_build_object(
                    'code', 'not_needed', 'message', 'Nothing that it waited for has failed.') ELSE (
        SELECT jsonb_build_object('code', 'dependency_' || o.status, 'stage', o.name,
                                  'message', format('Its dependency %s was not completed.', o.name))
          FROM dependencies AS d JOIN stages AS o ON o.pipeline_id = d.pipeline_id AND o.position = d.depends_on
         WHERE d.pipeline_id = why_skipped.pipeline AND d.stage = why_skipped.stage AND o.finished_at IS NOT NULL
           AND NOT is_well(o.status, o.allow_failure)
         ORDER BY o.position LIMIT 1) END
$$;

--
-- Name: artifacts_left; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.artifacts_left (
    pipeline uuid NOT NULL,
    deleted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

--
-- Name: attempts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.attempts (
    pipeline_id bigint NOT NULL,
    "position" integer NOT NULL,
    attempt public.attempt_number NOT NULL,
    lease_token uuid NOT NULL,
    worker_id uuid NOT NULL,
    executor text DEFAULT 'local'::text NOT NULL,
    handle text,
    outcome public.attempt_outcome,
    error jsonb,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT attempts_check CHECK (((outcome IS NULL) = (finished_at IS NULL)))
)
WITH (fillfactor='50');

--
-- Name: checkpoints; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.checkpoints (
    id bigint NOT NULL,
    pipeline_id bigint NOT NULL,
    "position" integer NOT NULL,
    attempt integer NOT NULL,
    step bigint NOT NULL,
    path text NOT NULL,
    metrics jsonb DEFAULT '{}'::jsonb NOT NULL,
    bytes bigint DEFAULT 0 NOT NULL,
    state text DEFAULT 'complete'::text NOT NULL,
    pinned boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    reason text,
    kept_by text DEFAULT ''::text NOT NULL,
    CONSTRAINT checkpoints_bytes_check CHECK ((bytes >= 0)),
    CONSTRAINT checkpoints_check CHECK (((NOT pinned) OR (state <> ALL (ARRAY['deleting'::text, 'deleted'::text])))),
    CONSTRAINT checkpoints_reason_check CHECK ((length(reason) <= 4000)),
    CONSTRAINT checkpoints_state_check CHECK ((state = ANY (ARRAY['writing'::text, 'complete'::text, 'invalid'::text, 'deleting'::text, 'deleted'::text]))),
    CONSTRAINT checkpoints_step_check CHECK ((step >= 0))
);

--
-- Name: checkpoints_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.checkpoints ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.checkpoints_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

--
-- Name: dependencies; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.dependencies (
    pipeline_id bigint NOT NULL,
    depends_on integer NOT NULL,
    stage integer NOT NULL,
    CONSTRAINT dependencies_check CHECK ((stage <> depends_on))
);

--
-- Name: events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.events (
    pipeline_id bigint NOT NULL,
    seq public.event_number NOT NULL,
    type public.event_type NOT NULL,
    subject text,
    data json NOT NULL,
    "time" timestamp with time zone NOT NULL,
    place bigint DEFAULT public.next_place() NOT NULL
);

--
-- Name: failures; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.failures (
    pipeline_id bigint NOT NULL,
    "position" integer NOT NULL,
    attempt integer NOT NULL,
    stage uuid NOT NULL,
    task text NOT NULL,
    failed_at timestamp with time zone NOT NULL,
    diagnosis jsonb,
    fingerprint text GENERATED ALWAYS AS ((diagnosis ->> 'fingerprint'::text)) STORED,
    category text GENERATED ALWAYS AS ((diagnosis ->> 'category'::text)) STORED,
    rule_version integer GENERATED ALWAYS AS (COALESCE(((diagnosis ->> 'rule_version'::text))::integer, 0)) STORED NOT NULL,
    CONSTRAINT failures_diagnosis_check CHECK ((jsonb_typeof(diagnosis) = 'object'::text))
);

--
-- Name: idempotency_keys; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.idempotency_keys (
    project text DEFAULT 'default'::text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    pipeline uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT idempotency_keys_key_check CHECK ((key ~ '^[!-~]{1,255}$'::text))
);

--
-- Name: installation; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.installation (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    only_row boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT installation_only_row_check CHECK (only_row)
);

--
-- Name: metric_points; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.metric_points (
    pipeline_id bigint NOT NULL,
    "position" integer NOT NULL,
    attempt integer NOT NULL,
    series smallint NOT NULL,
    n integer NOT NULL,
    step double precision NOT NULL,
    value double precision NOT NULL,
    at double precision NOT NULL
);

--
-- Name: metric_series; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.metric_series (
    pipeline_id bigint NOT NULL,
    "position" integer NOT NULL,
    attempt integer NOT NULL,
    series smallint NOT NULL,
    name text NOT NULL,
    stride integer NOT NULL,
    last_n integer NOT NULL,
    last_step double precision NOT NULL,
    last_value double precision NOT NULL,
    last_at double precision NOT NULL,
    CONSTRAINT metric_series_stride_check CHECK ((stride > 0))
)
WITH (fillfactor='70');

--
-- Name: paces; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.paces (
    pipeline_id bigint NOT NULL,
    "position" integer NOT NULL,
    attempt integer NOT NULL,
    step double precision NOT NULL,
    total double precision NOT NULL,
    steps_per_s double precision,
    eta_s double precision,
    interval_s double precision,
    reported_at timestamp with time zone NOT NULL,
    silent boolean DEFAULT false NOT NULL,
    CONSTRAINT paces_eta_s_check CHECK ((eta_s >= (0)::double precision)),
    CONSTRAINT paces_steps_per_s_check CHECK ((steps_per_s >= (0)::double precision))
)
WITH (fillfactor='70');

--
-- Name: periodic_tasks; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.periodic_tasks (
    name text NOT NULL,
    interval_s integer NOT NULL,
    last_slot timestamp with time zone,
    missed bigint DEFAULT 0 NOT NULL,
    CONSTRAINT periodic_tasks_interval_s_check CHECK ((interval_s > 0))
);

--
-- Name: pipelines; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.pipelines (
    id bigint NOT NULL,
    uuid uuid NOT NULL,
    project text DEFAULT 'default'::text NOT NULL,
    name public.pipeline_name NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    priority public.pipeline_priority DEFAULT 5 NOT NULL,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    status public.pipeline_status DEFAULT 'pending'::text NOT NULL,
    stage_count public.pipeline_size NOT NULL,
    open_stages integer NOT NULL,
    all_ended boolean GENERATED ALWAYS AS ((open_stages = 0)) STORED NOT NULL,
    broken_stages integer DEFAULT 0 NOT NULL,
    last_seq public.natural_number DEFAULT 0 NOT NULL,
    error jsonb,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    started_at timestamp with time zone,
    paused_at timestamp with time zone,
    finished_at timestamp with time zone,
    CONSTRAINT pipelines_check CHECK (((open_stages >= 0) AND (open_stages <= (stage_count)::integer))),
    CONSTRAINT pipelines_check1 CHECK (((broken_stages >= 0) AND (broken_stages <= (stage_count)::integer))),
    CONSTRAINT pipelines_check2 CHECK ((((status)::text = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text])) = (finished_at IS NOT NULL))),
    CONSTRAINT pipelines_check3 CHECK ((((status)::text <> ALL (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text])) OR (open_stages = 0))),
    CONSTRAINT pipelines_check4 CHECK ((((status)::text <> 'completed'::text) OR (broken_stages = 0))),
    CONSTRAINT pipelines_check5 CHECK ((((status)::text <> 'failed'::text) OR (error IS NOT NULL))),
    CONSTRAINT pipelines_check6 CHECK ((((status)::text <> 'running'::text) OR (started_at IS NOT NULL)))
)
WITH (fillfactor='70');

--
-- Name: pipelines_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.pipelines ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.pipelines_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

--
-- Name: queues; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.queues (
    name text NOT NULL,
    paused_at timestamp with time zone
);

--
-- Name: running_totals; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.running_totals (
    task text NOT NULL,
    running integer NOT NULL,
    reporting integer NOT NULL,
    silent integer NOT NULL,
    steps_per_s double precision NOT NULL,
    eta_s double precision,
    updated_at timestamp with time zone NOT NULL
);

--
-- Name: schedule_slots; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.schedule_slots (
    schedule_id bigint NOT NULL,
    slot timestamp with time zone NOT NULL,
    state text NOT NULL,
    pipeline uuid,
    ended boolean DEFAULT false NOT NULL,
    error jsonb,
    decided_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT schedule_slots_check CHECK (((state = 'fired'::text) = (pipeline IS NOT NULL))),
    CONSTRAINT schedule_slots_check1 CHECK (((state = 'failed'::text) = (error IS NOT NULL))),
    CONSTRAINT schedule_slots_error_check CHECK ((jsonb_typeof(error) = 'object'::text)),
    CONSTRAINT schedule_slots_state_check CHECK ((state = ANY (ARRAY['fired'::text, 'skipped'::text, 'waiting'::text, 'missed'::text, 'failed'::text])))
);

--
-- Name: schedulers; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.schedulers (
    id uuid NOT NULL,
    name text NOT NULL,
    heartbeat_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

--
-- Name: schedules; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.schedules (
    id bigint NOT NULL,
    project text DEFAULT 'default'::text NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    cron text NOT NULL,
    timezone text NOT NULL,
    template text,
    version integer,
    params jsonb NOT NULL,
    pipeline json,
    priority smallint,
    labels jsonb NOT NULL,
    overlap text NOT NULL,
    catch_up text NOT NULL,
    catch_up_max integer NOT NULL,
    paused boolean NOT NULL,
    next_run_at timestamp with time zone,
    missed bigint DEFAULT 0 NOT NULL,
    revision bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT schedules_catch_up_check CHECK ((catch_up = ANY (ARRAY['none'::text, 'latest'::text, 'all'::text]))),
    CONSTRAINT schedules_catch_up_max_check CHECK ((catch_up_max > 0)),
    CONSTRAINT schedules_check CHECK (((template IS NULL) <> (pipeline IS NULL))),
    CONSTRAINT schedules_check1 CHECK (((NOT paused) OR (next_run_at IS NULL))),
    CONSTRAINT schedules_name_check CHECK ((name ~ '^[a-z0-9]([-_a-z0-9]{0,61}[a-z0-9])?$'::text)),
    CONSTRAINT schedules_overlap_check CHECK ((overlap = ANY (ARRAY['skip'::text, 'allow'::text, 'buffer_one'::text, 'cancel_other'::text]))),
    CONSTRAINT schedules_params_check CHECK ((jsonb_typeof(params) = 'object'::text))
)
WITH (fillfactor='70');

--
-- Name: schedules_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.schedules ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.schedules_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

--
-- Name: schema_migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.schema_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

--
-- Name: stages; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.stages (
    pipeline_id bigint NOT NULL,
    "position" public.natural_number NOT NULL,
    uuid uuid NOT NULL,
    name public.stage_name NOT NULL,
    task text NOT NULL,
    queue public.queue_name NOT NULL,
    slot public.slot_kind NOT NULL,
    params public.jsonb_object DEFAULT '{}'::jsonb NOT NULL,
    "references" public.jsonb_object DEFAULT '{}'::jsonb NOT NULL,
    max_retries public.retry_count DEFAULT 0 NOT NULL,
    retry_delay_s public.delay_s DEFAULT 60 NOT NULL,
    retry_backoff public.retry_factor DEFAULT 1 NOT NULL,
    retry_delay_max_s public.delay_s DEFAULT 3600 NOT NULL,
    timeout_s public.limit_s DEFAULT 86400 NOT NULL,
    queue_timeout_s public.limit_s,
    total_timeout_s public.limit_s,
    trigger_rule public.trigger_rule DEFAULT 'all_completed'::text NOT NULL,
    allow_failure boolean DEFAULT false NOT NULL,
    dependents public.natural_number DEFAULT 0 NOT NULL,
    status public.stage_status DEFAULT 'pending'::text NOT NULL,
    unmet public.natural_number NOT NULL,
    propagated boolean DEFAULT false NOT NULL,
    dispatch_token integer DEFAULT 0 NOT NULL,
    attempt public.natural_number DEFAULT 0 NOT NULL,
    failures public.natural_number DEFAULT 0 NOT NULL,
    losses public.natural_number DEFAULT 0 NOT NULL,
    lease_token uuid,
    worker_id uuid,
    cancel_asked boolean DEFAULT false NOT NULL,
    progress public.fraction,
    result public.jsonb_object,
    error public.jsonb_object,
    diagnosis public.jsonb_object,
    retry_at timestamp with time zone,
    expires_at timestamp with time zone,
    give_up_at timestamp with time zone,
    queued_at timestamp with time zone,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    CONSTRAINT stages_check CHECK ((((status)::text = 'running'::text) = (lease_token IS NOT NULL))),
    CONSTRAINT stages_check1 CHECK ((((status)::text <> 'running'::text) OR ((worker_id IS NOT NULL) AND (started_at IS NOT NULL) AND ((attempt)::integer > 0)))),
    CONSTRAINT stages_check10 CHECK (((give_up_at IS NULL) OR ((status)::text = ANY (ARRAY['queued'::text, 'retrying'::text])))),
    CONSTRAINT stages_check11 CHECK ((((failures)::integer <= (attempt)::integer) AND ((losses)::integer <= (attempt)::integer))),
    CONSTRAINT stages_check2 CHECK ((((status)::text = 'retrying'::text) = (retry_at IS NOT NULL))),
    CONSTRAINT stages_check3 CHECK ((((status)::text = ANY (ARRAY['completed'::text, 'failed'::text, 'skipped'::text, 'cancelled'::text])) = (finished_at IS NOT NULL))),
    CONSTRAINT stages_check4 CHECK ((((status)::text = 'completed'::text) = (result IS NOT NULL))),
    CONSTRAINT stages_check5 CHECK ((((status)::text <> 'completed'::text) OR ((attempt)::integer > 0))),
    CONSTRAINT stages_check6 CHECK ((((status)::text <> 'failed'::text) OR (error IS NOT NULL))),
    CONSTRAINT stages_check7 CHECK ((((status)::text <> ALL (ARRAY['queued'::text, 'running'::text, 'retrying'::text, 'completed'::text])) OR ((unmet)::integer = 0))),
    CONSTRAINT stages_check8 CHECK ((((status)::text <> 'queued'::text) OR ((queued_at IS NOT NULL) AND (dispatch_token > 0)))),
    CONSTRAINT stages_check9 CHECK (((NOT propagated) OR (finished_at IS NOT NULL)))
)
WITH (fillfactor='70');

--
-- Name: stats_cursor; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.stats_cursor (
    only_row boolean DEFAULT true NOT NULL,
    place bigint NOT NULL,
    since timestamp with time zone NOT NULL,
    counted_at timestamp with time zone NOT NULL,
    CONSTRAINT stats_cursor_only_row_check CHECK (only_row)
);

--
-- Name: stats_minutes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.stats_minutes (
    minute timestamp with time zone NOT NULL,
    project text NOT NULL,
    task text NOT NULL,
    status text NOT NULL,
    bucket smallint,
    count bigint NOT NULL,
    duration_s double precision NOT NULL,
    longest_s double precision NOT NULL
);

--
-- Name: stats_totals; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.stats_totals (
    project text NOT NULL,
    task text NOT NULL,
    queue text NOT NULL,
    status text NOT NULL,
    count bigint NOT NULL
);

--
-- Name: task_types; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.task_types (
    project text DEFAULT 'default'::text NOT NULL,
    name text NOT NULL,
    queue text NOT NULL,
    slot text NOT NULL,
    version text NOT NULL,
    params_schema json NOT NULL,
    result_schema json NOT NULL,
    registered_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

--
-- Name: templates; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.templates (
    project text DEFAULT 'default'::text NOT NULL,
    name text NOT NULL,
    version integer NOT NULL,
    description text NOT NULL,
    params_schema json NOT NULL,
    pipeline json NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT templates_name_check CHECK ((name ~ '^[a-z0-9]([-_a-z0-9]{0,61}[a-z0-9])?$'::text)),
    CONSTRAINT templates_version_check CHECK ((version > 0))
);

--
-- Name: workers; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.workers (
    id uuid NOT NULL,
    project text DEFAULT 'default'::text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    queues text[] NOT NULL,
    tasks text[] NOT NULL,
    process_slots integer NOT NULL,
    inline_slots integer NOT NULL,
    state text DEFAULT 'live'::text NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    heartbeat_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    lease_expires_at timestamp with time zone NOT NULL,
    CONSTRAINT workers_state_check CHECK ((state = ANY (ARRAY['live'::text, 'draining'::text, 'stopped'::text, 'lost'::text])))
);

--
-- Name: artifacts_left artifacts_left_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.artifacts_left
    ADD CONSTRAINT artifacts_left_pkey PRIMARY KEY (pipeline);

--
-- Name: attempts attempts_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (pipeline_id, "position", attempt);

--
-- Name: checkpoints checkpoints_pipeline_id_position_path_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.checkpoints
    ADD CONSTRAINT checkpoints_pipeline_id_position_path_key UNIQUE (pipeline_id, "position", path);

--
-- Name: checkpoints checkpoints_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.checkpoints
    ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (id);

--
-- Name: dependencies dependencies_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.dependencies
    ADD CONSTRAINT dependencies_pkey PRIMARY KEY (pipeline_id, depends_on, stage);

--
-- Name: events events_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (pipeline_id, seq);

--
-- Name: failures failures_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.failures
    ADD CONSTRAINT failures_pkey PRIMARY KEY (pipeline_id, "position", attempt);

--
-- Name: idempotency_keys idempotency_keys_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (project, key);

--
-- Name: installation installation_only_row_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.installation
    ADD CONSTRAINT installation_only_row_key UNIQUE (only_row);

--
-- Name: installation installation_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (id);

--
-- Name: metric_points metric_points_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.metric_points
    ADD CONSTRAINT metric_points_pkey PRIMARY KEY (pipeline_id, "position", attempt, series, n);

--
-- Name: metric_series metric_series_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.metric_series
    ADD CONSTRAINT metric_series_pkey PRIMARY KEY (pipeline_id, "position", attempt, series);

--
-- Name: paces paces_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.paces
    ADD CONSTRAINT paces_pkey PRIMARY KEY (pipeline_id, "position");

--
-- Name: periodic_runs periodic_runs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.periodic_runs
    ADD CONSTRAINT periodic_runs_pkey PRIMARY KEY (name, slot);

--
-- Name: periodic_tasks periodic_tasks_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.periodic_tasks
    ADD CONSTRAINT periodic_tasks_pkey PRIMARY KEY (name);

--
-- Name: pipelines pipelines_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.pipelines
    ADD CONSTRAINT pipelines_pkey PRIMARY KEY (id);

--
-- Name: pipelines pipelines_uuid_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.pipelines
    ADD CONSTRAINT pipelines_uuid_key UNIQUE (uuid);

--
-- Name: queues queues_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.queues
    ADD CONSTRAINT queues_pkey PRIMARY KEY (name);

--
-- Name: running_totals running_totals_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.running_totals
    ADD CONSTRAINT running_totals_pkey PRIMARY KEY (task);

--
-- Name: schedule_slots schedule_slots_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schedule_slots
    ADD CONSTRAINT schedule_slots_pkey PRIMARY KEY (schedule_id, slot);

--
-- Name: schedulers schedulers_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schedulers
    ADD CONSTRAINT schedulers_pkey PRIMARY KEY (id);

--
-- Name: schedules schedules_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schedules
    ADD CONSTRAINT schedules_pkey PRIMARY KEY (id);

--
-- Name: schedules schedules_project_name_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schedules
    ADD CONSTRAINT schedules_project_name_key UNIQUE (project, name);

--
-- Name: schema_migrations schema_migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

--
-- Name: stages stages_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.stages
    ADD CONSTRAINT stages_pkey PRIMARY KEY (pipeline_id, "position");

--
-- Name: stages stages_uuid_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.stages
    ADD CONSTRAINT stages_uuid_key UNIQUE (uuid);

--
-- Name: stats_cursor stats_cursor_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.stats_cursor
    ADD CONSTRAINT stats_cursor_pkey PRIMARY KEY (only_row);

--
-- Name: stats_minutes stats_minutes_minute_project_task_status_bucket_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.stats_minutes
    ADD CONSTRAINT stats_minutes_minute_project_task_status_bucket_key UNIQUE NULLS NOT DISTINCT (minute, project, task, status, bucket);

--
-- Name: stats_totals stats_totals_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.stats_totals
    ADD CONSTRAINT stats_totals_pkey PRIMARY KEY (project, task, queue, status);

--
-- Name: task_types task_types_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.task_types
    ADD CONSTRAINT task_types_pkey PRIMARY KEY (project, name);

--
-- Name: templates templates_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.templates
    ADD CONSTRAINT templates_pkey PRIMARY KEY (project, name, version);

--
-- Name: workers workers_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (id);

--
-- Name: checkpoints_by_pipeline; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX checkpoints_by_pipeline ON public.checkpoints USING btree (pipeline_id, id);

--
-- Name: checkpoints_by_state; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX checkpoints_by_state ON public.checkpoints USING btree (state, id);

--
-- Name: checkpoints_pinned; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX checkpoints_pinned ON public.checkpoints USING btree (pipeline_id) WHERE pinned;

--
-- Name: checkpoints_to_judge; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX checkpoints_to_judge ON public.checkpoints USING btree (kept_by, pipeline_id) WHERE (state <> 'deleted'::text);

--
-- Name: dependencies_by_stage; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX dependencies_by_stage ON public.dependencies USING btree (pipeline_id, stage);

--
-- Name: events_by_place; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX events_by_place ON public.events USING btree (place, pipeline_id, seq);

--
-- Name: events_of_pipelines; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX events_of_pipelines ON public.events USING btree (pipeline_id, seq) WHERE (subject IS NULL);

--
-- Name: failures_by_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX failures_by_age ON public.failures USING btree (failed_at, pipeline_id, "position", attempt);

--
-- Name: failures_by_rules; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX failures_by_rules ON public.failures USING btree (rule_version, failed_at);

--
-- Name: idempotency_keys_by_expiry; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idempotency_keys_by_expiry ON public.idempotency_keys USING btree (expires_at);

--
-- Name: periodic_runs_by_outcome; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX periodic_runs_by_outcome ON public.periodic_runs USING btree (name, outcome, slot);

--
-- Name: periodic_runs_running; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX periodic_runs_running ON public.periodic_runs USING btree (name) WHERE (outcome IS NULL);

--
-- Name: pipelines_by_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX pipelines_by_age ON public.pipelines USING btree (project, created_at, id);

--
-- Name: pipelines_ended; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX pipelines_ended ON public.pipelines USING btree (project, status, created_at, id) WHERE (finished_at IS NOT NULL);

--
-- Name: pipelines_live; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX pipelines_live ON public.pipelines USING btree (id) WHERE ((status)::text = ANY (ARRAY['running'::text, 'paused'::text, 'cancelling'::text]));

--
-- Name: pipelines_open; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX pipelines_open ON public.pipelines USING btree (project, status, created_at, id) WHERE (finished_at IS NULL);

--
-- Name: pipelines_to_settle; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX pipelines_to_settle ON public.pipelines USING btree (id) WHERE (all_ended AND ((status)::text = ANY (ARRAY['running'::text, 'paused'::text, 'cancelling'::text])));

--
-- Name: schedule_slots_open; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX schedule_slots_open ON public.schedule_slots USING btree (schedule_id) WHERE ((state = 'fired'::text) AND (NOT ended));

--
-- Name: schedule_slots_waiting; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX schedule_slots_waiting ON public.schedule_slots USING btree (schedule_id) WHERE (state = 'waiting'::text);

--
-- Name: schedules_due; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX schedules_due ON public.schedules USING btree (next_run_at) WHERE (next_run_at IS NOT NULL);

--
-- Name: stages_by_status; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX stages_by_status ON public.stages USING btree (status, pipeline_id, "position") WHERE ((status)::text <> 'completed'::text);

--
-- Name: stages_queued; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX stages_queued ON public.stages USING btree (queued_at, uuid) WHERE ((status)::text = 'queued'::text);

--
-- Name: stages_retrying; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX stages_retrying ON public.stages USING btree (retry_at) WHERE ((status)::text = 'retrying'::text);

--
-- Name: stages_running; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX stages_running ON public.stages USING btree (worker_id) WHERE ((status)::text = 'running'::text);

--
-- Name: stages_to_give_up; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX stages_to_give_up ON public.stages USING btree (give_up_at) WHERE (give_up_at IS NOT NULL);

--
-- Name: stages_to_give_up_of_pipeline; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX stages_to_give_up_of_pipeline ON public.stages USING btree (pipeline_id, give_up_at) WHERE (give_up_at IS NOT NULL);

--
-- Name: stages_to_propagate; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX stages_to_propagate ON public.stages USING btree (pipeline_id, "position") WHERE ((finished_at IS NOT NULL) AND (NOT propagated));

--
-- Name: workers_leased; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workers_leased ON public.workers USING btree (lease_expires_at) WHERE (state = ANY (ARRAY['live'::text, 'draining'::text]));

--
-- Name: workers_left; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workers_left ON public.workers USING btree (heartbeat_at) WHERE (state = ANY (ARRAY['stopped'::text, 'lost'::text]));

--
-- Name: pipelines refuse_uuid_with_artifacts; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER refuse_uuid_with_artifacts AFTER INSERT ON public.pipelines FOR EACH ROW EXECUTE FUNCTION public.refuse_uuid_with_artifacts();

--
-- Name: failures failures_pipeline_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.failures
    ADD CONSTRAINT failures_pipeline_id_fkey FOREIGN KEY (pipeline_id) REFERENCES public.pipelines(id) ON DELETE CASCADE;

--
-- Name: metric_points metric_points_pipeline_id_position_attempt_series_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.metric_points
    ADD CONSTRAINT metric_points_pipeline_id_position_attempt_series_fkey FOREIGN KEY (pipeline_id, "position", attempt, series) REFERENCES public.metric_series(pipeline_id, "position", attempt, series) ON DELETE CASCADE;

--
-- Name: metric_series metric_series_pipeline_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.metric_series
    ADD CONSTRAINT metric_series_pipeline_id_fkey FOREIGN KEY (pipeline_id) REFERENCES public.pipelines(id) ON DELETE CASCADE;

--
-- Name: paces paces_pipeline_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.paces
    ADD CONSTRAINT paces_pipeline_id_fkey FOREIGN KEY (pipeline_id) REFERENCES public.pipelines(id) ON DELETE CASCADE;

--
-- Name: schedule_slots schedule_slots_schedule_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schedule_slots
    ADD CONSTRAINT schedule_slots_schedule_id_fkey FOREIGN KEY (schedule_id) REFERENCES public.schedules(id) ON DELETE CASCADE;

--
-- PostgreSQL database dump complete
--
