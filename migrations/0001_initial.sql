-- Headway's first schema: the tables, and the protocol that moves a pipeline through its life.
--
-- How to read it. Postgres is the truth; Redis only says "go and look". Every transition is one call of one of the
-- functions at the end of this file, for a whole batch, and each of them has the same shape:
--
--   1. lock the pipelines concerned, in id order            (lock_pipelines)
--   2. act in later statements, which see a fresh snapshot, each naming the state and token it expects
--   3. append the events in the same transaction            (append_events)
--   4. answer in JSON: who should look (hints), what is to be dispatched (queued), what was left out (locked)
--
-- Lock order: pipelines by id, and nothing else is ever waited for. A batch skips the pipelines that somebody else
-- has locked and names their stages in `locked`; the caller comes back for those, one pipeline at a time.
--
-- A batch finds its stages by `uuid = ANY (…)`, and `|| ''` and `+ 0` keep the other conditions off the indexes, whatever
-- the planner believes of tables that were empty when it last looked.
--
-- Time is always the database's clock, read after the lock was taken, so that the times of events follow their order.

CREATE TABLE installation (
    -- One row: which installation this database and its data directories belong to.
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    only_row    boolean NOT NULL DEFAULT true UNIQUE CHECK (only_row),
    created_at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO installation DEFAULT VALUES;

-- What one column may hold is said by a domain, which is looked at when the column is written; a CHECK of the table is
-- prepared anew for every statement that writes any.
CREATE DOMAIN natural_number AS integer CHECK (VALUE >= 0);
CREATE DOMAIN jsonb_object AS jsonb CHECK (jsonb_typeof(VALUE) = 'object');
CREATE DOMAIN delay_s AS double precision CHECK (VALUE BETWEEN 0 AND 86400);
CREATE DOMAIN limit_s AS double precision CHECK (VALUE BETWEEN 1 AND 2592000);
CREATE DOMAIN pipeline_name AS text CHECK (length(VALUE) BETWEEN 1 AND 128);
CREATE DOMAIN pipeline_priority AS smallint CHECK (VALUE BETWEEN 1 AND 10);
CREATE DOMAIN pipeline_size AS integer CHECK (VALUE BETWEEN 1 AND 10000);
CREATE DOMAIN pipeline_status AS text CHECK (VALUE IN
    ('pending', 'running', 'paused', 'cancelling', 'completed', 'failed', 'cancelled'));
CREATE DOMAIN stage_name AS text CHECK (VALUE ~ '^[a-z0-9]([-_a-z0-9]{0,61}[a-z0-9])?$');
CREATE DOMAIN stage_status AS text CHECK (VALUE IN
    ('pending', 'queued', 'running', 'retrying', 'completed', 'failed', 'skipped', 'cancelled'));
CREATE DOMAIN queue_name AS text CHECK (VALUE IN
    ('training', 'evaluation', 'default', 'preprocessing', 'maintenance'));
CREATE DOMAIN slot_kind AS text CHECK (VALUE IN ('process', 'inline'));
CREATE DOMAIN trigger_rule AS text CHECK (VALUE IN ('all_completed', 'all_done', 'any_failed'));
CREATE DOMAIN retry_count AS smallint CHECK (VALUE BETWEEN 0 AND 20);
CREATE DOMAIN retry_factor AS double precision CHECK (VALUE BETWEEN 1 AND 100);
CREATE DOMAIN fraction AS double precision CHECK (VALUE BETWEEN 0 AND 1);
CREATE DOMAIN attempt_number AS integer CHECK (VALUE > 0);
CREATE DOMAIN attempt_outcome AS text CHECK (VALUE IN ('completed', 'failed', 'timed_out', 'cancelled', 'lost'));
CREATE DOMAIN event_number AS integer CHECK (VALUE > 0);
CREATE DOMAIN event_type AS text CHECK (VALUE IN
    ('pipeline.created', 'pipeline.started', 'pipeline.paused', 'pipeline.resumed', 'pipeline.cancelling',
     'pipeline.completed', 'pipeline.failed', 'pipeline.cancelled',
     'stage.queued', 'stage.started', 'stage.retrying', 'stage.completed', 'stage.failed', 'stage.skipped',
     'stage.cancelled'));

CREATE TABLE pipelines (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid           uuid NOT NULL UNIQUE,
    project        text NOT NULL DEFAULT 'default',
    name           pipeline_name NOT NULL,
    description    text NOT NULL DEFAULT '',
    priority       pipeline_priority NOT NULL DEFAULT 5,
    labels         jsonb NOT NULL DEFAULT '{}',
    status         pipeline_status NOT NULL DEFAULT 'pending',
    stage_count    pipeline_size NOT NULL,
    open_stages    integer NOT NULL CHECK (open_stages BETWEEN 0 AND stage_count),    -- not terminal yet
    all_ended      boolean NOT NULL GENERATED ALWAYS AS (open_stages = 0) STORED,
    broken_stages  integer NOT NULL DEFAULT 0 CHECK (broken_stages BETWEEN 0 AND stage_count),
                   -- failed or cancelled, and not allowed to
    last_seq       natural_number NOT NULL DEFAULT 0,                                 -- of its events
    error          jsonb,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at     timestamptz,
    paused_at      timestamptz,
    finished_at    timestamptz,
    CHECK ((status IN ('completed', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CHECK (status NOT IN ('completed', 'failed', 'cancelled') OR open_stages = 0),
    CHECK (status <> 'completed' OR broken_stages = 0),
    CHECK (status <> 'failed' OR error IS NOT NULL),
    CHECK (status <> 'running' OR started_at IS NOT NULL)
) WITH (fillfactor = 70);

CREATE INDEX pipelines_by_age ON pipelines (project, created_at, id);
CREATE INDEX pipelines_live ON pipelines (id) WHERE status IN ('running', 'paused', 'cancelling');
-- What the sweep settles when the hint of the last completion was lost. On all_ended and not on open_stages, which
-- changes with every stage: an indexed column that changes makes Postgres write every index of the row anew.
CREATE INDEX pipelines_to_settle ON pipelines (id)
    WHERE all_ended AND status IN ('running', 'paused', 'cancelling');

CREATE TABLE queues (
    name       text PRIMARY KEY,
    paused_at  timestamptz      -- since when its stages are neither dispatched nor claimed; what runs goes on
);
INSERT INTO queues (name) VALUES ('training'), ('evaluation'), ('default'), ('preprocessing'), ('maintenance');

CREATE TABLE stages (
    pipeline_id     bigint NOT NULL,                            -- no foreign key: Postgres would look again at each change
    position        natural_number NOT NULL,
    uuid            uuid NOT NULL UNIQUE,
    name            stage_name NOT NULL,
    task            text NOT NULL,
    queue           queue_name NOT NULL,
    slot            slot_kind NOT NULL,
    params          jsonb_object NOT NULL DEFAULT '{}',
    "references"    jsonb_object NOT NULL DEFAULT '{}',
    max_retries     retry_count NOT NULL DEFAULT 0,
    retry_delay_s   delay_s NOT NULL DEFAULT 60,
    retry_backoff   retry_factor NOT NULL DEFAULT 1,
    retry_delay_max_s  delay_s NOT NULL DEFAULT 3600,
    timeout_s       limit_s NOT NULL DEFAULT 86400,             -- of an attempt
    queue_timeout_s limit_s,                                    -- of each wait in the queue
    total_timeout_s limit_s,                                    -- from the release to the end
    trigger_rule    trigger_rule NOT NULL DEFAULT 'all_completed',
    allow_failure   boolean NOT NULL DEFAULT false,             -- does not fail its pipeline, nor skip its dependents
    dependents      natural_number NOT NULL DEFAULT 0,

    status          stage_status NOT NULL DEFAULT 'pending',
    unmet           natural_number NOT NULL,                    -- dependencies that do not count as met yet
    propagated      boolean NOT NULL DEFAULT false,             -- terminal, and its dependents know
    dispatch_token  integer NOT NULL DEFAULT 0,                 -- counts the times it was queued
    attempt         natural_number NOT NULL DEFAULT 0,
    failures        natural_number NOT NULL DEFAULT 0,          -- attempts that cost retry budget
    losses          natural_number NOT NULL DEFAULT 0,          -- lost attempts in a row
    lease_token     uuid,
    worker_id       uuid,
    cancel_asked    boolean NOT NULL DEFAULT false,
    progress        fraction,
    result          jsonb_object,
    error           jsonb_object,
    diagnosis       jsonb_object,
    retry_at        timestamptz,
    expires_at      timestamptz,                                -- its total timeout, from the release on
    give_up_at      timestamptz,                                -- while it waits for a start: when it is failed instead
    queued_at       timestamptz,
    started_at      timestamptz,
    finished_at     timestamptz,
    PRIMARY KEY (pipeline_id, position),
    CHECK ((status = 'running') = (lease_token IS NOT NULL)),
    CHECK (status <> 'running' OR (worker_id IS NOT NULL AND started_at IS NOT NULL AND attempt > 0)),
    CHECK ((status = 'retrying') = (retry_at IS NOT NULL)),
    CHECK ((status IN ('completed', 'failed', 'skipped', 'cancelled')) = (finished_at IS NOT NULL)),
    CHECK ((status = 'completed') = (result IS NOT NULL)),
    CHECK (status <> 'completed' OR attempt > 0),
    CHECK (status <> 'failed' OR error IS NOT NULL),
    CHECK (status NOT IN ('queued', 'running', 'retrying', 'completed') OR unmet = 0),
    CHECK (status <> 'queued' OR (queued_at IS NOT NULL AND dispatch_token > 0)),
    CHECK (NOT propagated OR finished_at IS NOT NULL),
    CHECK (give_up_at IS NULL OR status IN ('queued', 'retrying')),
    CHECK (failures <= attempt AND losses <= attempt)
) WITH (fillfactor = 70);

-- The questions of the sweep, each on an index that holds live stages only.
CREATE INDEX stages_queued ON stages (queued_at, uuid) WHERE status = 'queued';
CREATE INDEX stages_running ON stages (worker_id) WHERE status = 'running';
CREATE INDEX stages_retrying ON stages (retry_at) WHERE status = 'retrying';
CREATE INDEX stages_to_give_up ON stages (give_up_at) WHERE give_up_at IS NOT NULL;
CREATE INDEX stages_to_give_up_of_pipeline ON stages (pipeline_id, give_up_at) WHERE give_up_at IS NOT NULL;
CREATE INDEX stages_to_propagate ON stages (pipeline_id, position)
    WHERE finished_at IS NOT NULL AND NOT propagated;

CREATE TABLE dependencies (
    -- `stage` waits for `depends_on`; both are positions in the pipeline.
    pipeline_id  bigint NOT NULL,
    depends_on   integer NOT NULL,
    stage        integer NOT NULL CHECK (stage <> depends_on),
    PRIMARY KEY (pipeline_id, depends_on, stage)
);

CREATE TABLE attempts (
    pipeline_id  bigint NOT NULL,
    position     integer NOT NULL,
    attempt      attempt_number NOT NULL,
    lease_token  uuid NOT NULL,
    worker_id    uuid NOT NULL,
    executor     text NOT NULL DEFAULT 'local',
    handle       text,
    outcome      attempt_outcome,
    error        jsonb,
    started_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    PRIMARY KEY (pipeline_id, position, attempt),
    CHECK ((outcome IS NULL) = (finished_at IS NULL))
) WITH (fillfactor = 50); -- each is updated once, when it ends; on the same page that costs no index anything

CREATE TABLE events (
    pipeline_id  bigint NOT NULL,
    seq          event_number NOT NULL,
    type         event_type NOT NULL,
    subject      text,
    data         json NOT NULL,
    "time"       timestamptz NOT NULL,
    PRIMARY KEY (pipeline_id, seq)
);

CREATE TABLE workers (
    -- One row for each incarnation of a worker process: its lease.
    id                uuid PRIMARY KEY,
    project           text NOT NULL DEFAULT 'default',
    name              text NOT NULL,
    version           text NOT NULL,
    queues            text[] NOT NULL,
    tasks             text[] NOT NULL,
    process_slots     integer NOT NULL,
    inline_slots      integer NOT NULL,
    state             text NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'draining', 'stopped', 'lost')),
    started_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_expires_at  timestamptz NOT NULL
);
CREATE INDEX workers_leased ON workers (lease_expires_at) WHERE state IN ('live', 'draining');

CREATE TABLE schedulers (
    id            uuid PRIMARY KEY,
    name          text NOT NULL,
    heartbeat_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE task_types (
    project        text NOT NULL DEFAULT 'default',
    name           text NOT NULL,
    queue          text NOT NULL,
    slot           text NOT NULL,
    version        text NOT NULL,
    params_schema  json NOT NULL,
    result_schema  json NOT NULL,
    registered_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project, name)
);

CREATE TABLE checkpoints (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline_id  bigint NOT NULL,
    position     integer NOT NULL,
    attempt      integer NOT NULL,
    step         bigint NOT NULL CHECK (step >= 0),
    path         text NOT NULL,
    metrics      jsonb NOT NULL DEFAULT '{}',
    bytes        bigint NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    state        text NOT NULL DEFAULT 'complete' CHECK (state IN ('complete', 'invalid', 'deleting', 'deleted')),
    pinned       boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (pipeline_id, position, path)
);

-- ------------------------------------------------------------------------------------------------ parts of the protocol

CREATE TYPE new_event AS (pipeline_id bigint, type text, subject text, data json);
CREATE TYPE queued_stage AS (
    pipeline_id bigint, name text, stage uuid, dispatch_token integer, task text, queue text, slot text
);
CREATE TYPE ended_stage AS (pipeline_id bigint, position integer, went_well boolean);

CREATE FUNCTION lock_pipelines(ids bigint[], wait boolean) RETURNS bigint[] LANGUAGE plpgsql AS $$
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

CREATE FUNCTION append_events(new_events new_event[], moment timestamptz) RETURNS void LANGUAGE plpgsql AS $$
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

CREATE FUNCTION settle_pipelines(ids bigint[], moment timestamptz) RETURNS bigint[] LANGUAGE plpgsql AS $$
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

CREATE FUNCTION queued_news(queued queued_stage[]) RETURNS new_event[] LANGUAGE sql AS $$
-- The stage.queued events of stages that were just queued.
    SELECT array_agg(ROW (q.pipeline_id, 'stage.queued', q.name, json_build_object('task_id', q.stage))::new_event)
      FROM unnest(queued) AS q
$$;

CREATE FUNCTION paused_queues() RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(name), '{}') FROM queues WHERE paused_at IS NOT NULL
$$;

CREATE FUNCTION why_held_back(status text, queue text, task text) RETURNS text LANGUAGE sql STABLE AS $$
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

CREATE FUNCTION give_up_at(queued_at timestamptz, queue_timeout_s double precision, expires_at timestamptz)
RETURNS timestamptz LANGUAGE sql STABLE AS $$
-- When a stage that is queued now has waited long enough; null if it may wait for ever.
    SELECT least(queued_at + queue_timeout_s * interval '1 second', expires_at)
$$;

CREATE FUNCTION to_dispatch(queued queued_stage[], moment timestamptz) RETURNS json LANGUAGE sql AS $$
-- What the caller has to put on Redis once its transaction has committed; nothing for pipelines that are not running,
-- nor for paused queues.
    SELECT coalesce(json_agg(d), '[]') FROM (
        SELECT q.stage, q.dispatch_token, q.task, q.queue, q.slot, p.priority, moment AS queued_at
          FROM unnest(queued) AS q JOIN pipelines AS p ON p.id = q.pipeline_id AND p.status = 'running'
         WHERE q.queue <> ALL ((SELECT paused_queues())::text[])) AS d
$$;

CREATE FUNCTION hints(ids bigint[], releasable boolean) RETURNS json LANGUAGE sql AS $$
-- Who has news: pipelines with the number of their last event, and whether a scheduler might have work there.
    SELECT coalesce(json_agg(json_build_object('pipeline_id', p.id, 'pipeline', p.uuid, 'seq', p.last_seq,
                                               'releasable', releasable)), '[]')
      FROM pipelines AS p WHERE p.id = ANY (ids)
$$;

CREATE FUNCTION left_out(wanted uuid[], locked bigint[]) RETURNS json LANGUAGE sql AS $$
-- The stages of a batch whose pipelines somebody else holds, one list for each pipeline.
    SELECT coalesce(json_agg(l.stages), '[]') FROM (
        SELECT json_agg(s.uuid) AS stages FROM stages AS s
         WHERE s.uuid = ANY (wanted) AND s.pipeline_id + 0 <> ALL (locked) GROUP BY s.pipeline_id) AS l
$$;

CREATE FUNCTION ended_news(data json, allowed boolean) RETURNS json LANGUAGE sql IMMUTABLE AS $$
-- The data of a stage.failed or stage.cancelled event; `allowed` marks those that do not break their pipeline.
    SELECT CASE WHEN allowed THEN (data::jsonb || '{"allowed": true}')::json ELSE data END
$$;

CREATE FUNCTION is_well(status text, allow_failure boolean) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
-- Whether the dependents of a stage that ended so may go on.
    SELECT status = 'completed' OR (allow_failure AND status IN ('failed', 'cancelled'))
$$;

CREATE FUNCTION has_failed_dependency(pipeline bigint, stage integer) RETURNS boolean LANGUAGE sql STABLE AS $$
-- Whether something that the stage waited for went wrong: it failed, was cancelled, or was skipped for want of its own.
-- An any_failed stage that nobody needed has not gone wrong.
    SELECT EXISTS (
        SELECT FROM dependencies AS d JOIN stages AS o ON o.pipeline_id = d.pipeline_id AND o.position = d.depends_on
         WHERE d.pipeline_id = has_failed_dependency.pipeline AND d.stage = has_failed_dependency.stage
           AND (o.status IN ('failed', 'cancelled') OR (o.status = 'skipped' AND o.trigger_rule <> 'any_failed')))
$$;

CREATE FUNCTION why_skipped(pipeline bigint, stage integer, rule text) RETURNS jsonb LANGUAGE sql STABLE AS $$
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

CREATE FUNCTION queue_roots(pipeline bigint, moment timestamptz) RETURNS queued_stage[] LANGUAGE plpgsql AS $$
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

-- ------------------------------------------------------------------------------------------------ verbs: submit, start

CREATE FUNCTION create_pipeline(spec jsonb, edges_from integer[], edges_to integer[]) RETURNS json LANGUAGE plpgsql AS $$
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

CREATE FUNCTION start_pipeline(target uuid) RETURNS json LANGUAGE plpgsql AS $$
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

-- ------------------------------------------------------------------------------------------------ verbs: claim, complete

CREATE FUNCTION start_stages(
    worker uuid, wanted uuid[], dispatch_tokens integer[], lease_tokens uuid[], locked bigint[], moment timestamptz
) RETURNS new_event[] LANGUAGE plpgsql AS $$
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

CREATE FUNCTION resume_point(pipeline bigint, stage integer) RETURNS text LANGUAGE sql STABLE AS $$
-- Where a new attempt takes up the work: the newest complete checkpoint of the stage, from whichever attempt.
    SELECT path FROM checkpoints WHERE pipeline_id = pipeline AND position = stage AND state = 'complete'
     ORDER BY step DESC, id DESC LIMIT 1
$$;

CREATE FUNCTION granted(wanted uuid[], lease_tokens uuid[], locked bigint[]) RETURNS json LANGUAGE sql AS $$
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

CREATE FUNCTION claim_stages(worker uuid, wanted uuid[], dispatch_tokens integer[], lease_tokens uuid[], wait boolean)
RETURNS json LANGUAGE plpgsql AS $$
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

-- ------------------------------------------------------------------------------------------------ verbs: release, settle

CREATE FUNCTION expire_stages(locked bigint[], moment timestamptz) RETURNS new_event[] LANGUAGE plpgsql AS $$
-- Fails the stages of running pipelines that have waited for a start for longer than they may.
DECLARE
    news new_event[];
BEGIN
    WITH expired AS (
        UPDATE stages AS s
           SET status = 'failed', finished_at = moment, retry_at = NULL, give_up_at = NULL, propagated = s.dependents = 0,
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

CREATE FUNCTION tell_dependents(ended ended_stage[], moment timestamptz, OUT queued queued_stage[], OUT skips new_event[])
LANGUAGE plpgsql AS $$
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

CREATE FUNCTION release_pipelines(ids bigint[], batch integer, wait boolean) RETURNS json LANGUAGE plpgsql AS $$
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

CREATE FUNCTION due_pipelines(batch integer) RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
-- The pipelines with a stage whose next attempt is due, or that has waited too long for one.
    (SELECT s.pipeline_id FROM stages AS s WHERE s.status = 'retrying' AND s.retry_at <= clock_timestamp()
      ORDER BY s.retry_at LIMIT batch)
    UNION
    (SELECT s.pipeline_id FROM stages AS s JOIN pipelines AS p ON p.id = s.pipeline_id AND p.status = 'running'
      WHERE s.give_up_at <= clock_timestamp() AND s.queue <> ALL ((SELECT paused_queues())::text[]) ORDER BY s.give_up_at LIMIT batch)
$$;

CREATE FUNCTION releasable_pipelines(batch integer) RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
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

-- ------------------------------------------------------------------------------------------------ verbs: cancel, pause, retry

CREATE FUNCTION cancel_pipeline(target uuid) RETURNS json LANGUAGE plpgsql AS $$
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

CREATE FUNCTION pause_pipeline(target uuid, pause boolean) RETURNS json LANGUAGE plpgsql AS $$
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

CREATE FUNCTION stages_to_retry(pipeline bigint, only_stage integer) RETURNS integer[] LANGUAGE sql STABLE AS $$
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

CREATE FUNCTION retry_pipeline(target uuid, only_stage uuid) RETURNS json LANGUAGE plpgsql AS $$
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

CREATE FUNCTION cancel_stage(target uuid) RETURNS json LANGUAGE plpgsql AS $$
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

CREATE FUNCTION purge_pipelines(ids bigint[], of_queue text, wait boolean) RETURNS json LANGUAGE plpgsql AS $$
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

CREATE FUNCTION pause_queue(target text, pause boolean) RETURNS boolean LANGUAGE plpgsql AS $$
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

CREATE FUNCTION delete_pipeline(target uuid) RETURNS text LANGUAGE plpgsql AS $$
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
    END IF;
    RETURN pipeline.status;
END $$;

-- ------------------------------------------------------------------------------------------------ leases: beat, rescue

CREATE FUNCTION beat_worker(worker uuid, lease_timeout_s double precision, held jsonb) RETURNS json LANGUAGE plpgsql AS $$
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

CREATE FUNCTION expire_workers() RETURNS integer LANGUAGE plpgsql AS $$
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

-- The hot functions, and what the sweep asks again and again, must cost the same on an empty, a fresh and a huge table.
-- Left to itself the planner may judge by statistics from before the tables grew, and scan them whole. Every statement
-- of them is a walk along an index from a batch that is small in comparison, so that is what it is told: no scans, and
-- one plan for good.
DO $$
DECLARE
    hot text;
    setting text;
BEGIN
    FOREACH hot IN ARRAY ARRAY[
        'create_pipeline(jsonb, integer[], integer[])', 'start_pipeline(uuid)', 'cancel_pipeline(uuid)',
        'pause_pipeline(uuid, boolean)', 'retry_pipeline(uuid, uuid)', 'stages_to_retry(bigint, integer)',
        'cancel_stage(uuid)', 'purge_pipelines(bigint[], text, boolean)', 'expire_stages(bigint[], timestamptz)',
        'claim_stages(uuid, uuid[], integer[], uuid[], boolean)', 'release_pipelines(bigint[], integer, boolean)',
        'beat_worker(uuid, double precision, jsonb)',
        'releasable_pipelines(integer)', 'due_pipelines(integer)']
    LOOP
        FOREACH setting IN ARRAY ARRAY['enable_seqscan TO off', 'plan_cache_mode TO force_generic_plan']
        LOOP
            EXECUTE format('ALTER FUNCTION %s SET %s', hot, setting);
        END LOOP;
    END LOOP;
END $$;
