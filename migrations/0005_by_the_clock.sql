-- What happens by the clock: periodic tasks of the installation itself, templates, and the schedules that submit them.

-- -------------------------------------------------------------------------------------------------------- periodic tasks

CREATE TABLE periodic_tasks (
    -- What workers do again and again. A slot begins at each multiple of the interval since 1970, in UTC.
    name        text PRIMARY KEY,
    interval_s  integer NOT NULL CHECK (interval_s > 0),
    last_slot   timestamptz,        -- the newest that was taken; older ones are never taken any more
    missed      bigint NOT NULL DEFAULT 0
);

CREATE TABLE periodic_runs (
    name         text NOT NULL,
    slot         timestamptz NOT NULL,
    worker_id    uuid,
    outcome      text CHECK (outcome IN ('completed', 'failed', 'timed_out', 'cancelled', 'lost', 'missed')),
    done         bigint,            -- how much there was to do
    error        jsonb CHECK (jsonb_typeof(error) = 'object'),
    started_at   timestamptz,
    expires_at   timestamptz,       -- when it is over in any case
    finished_at  timestamptz,
    PRIMARY KEY (name, slot),
    CHECK ((outcome IS NULL) = (finished_at IS NULL)),
    CHECK (coalesce(outcome, '') = 'missed' OR (worker_id IS NOT NULL AND started_at IS NOT NULL AND expires_at IS NOT NULL))
);
CREATE INDEX periodic_runs_running ON periodic_runs (name) WHERE outcome IS NULL;

CREATE FUNCTION holds_lease(worker uuid, moment timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
-- Whether a worker may still be at work.
    SELECT EXISTS (SELECT FROM workers WHERE id = worker AND state IN ('live', 'draining') AND lease_expires_at > moment)
$$;

CREATE FUNCTION is_lost(run periodic_runs, moment timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
-- Whether nobody will tell any more how a run has ended.
    SELECT run.outcome IS NULL AND (run.expires_at <= moment OR NOT holds_lease(run.worker_id, moment))
$$;

CREATE FUNCTION slot_of(moment timestamptz, interval_s integer) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
-- The slot that a moment lies in.
    SELECT date_bin(make_interval(secs => interval_s), moment, timestamptz '1970-01-01 00:00:00+00')
$$;

CREATE FUNCTION take_periodic_slots(worker uuid, names text[], intervals_s integer[], leases_s double precision[])
RETURNS json LANGUAGE plpgsql AS $$
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

-- ------------------------------------------------------------------------------------------------------------- templates

CREATE TABLE templates (
    -- Pipelines with params in them. A version is never changed; those that are built in are not stored.
    project        text NOT NULL DEFAULT 'default',
    name           text NOT NULL CHECK (name ~ '^[a-z0-9]([-_a-z0-9]{0,61}[a-z0-9])?$'),
    version        integer NOT NULL CHECK (version > 0),
    description    text NOT NULL,
    params_schema  json NOT NULL,
    pipeline       json NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project, name, version)
);

CREATE FUNCTION create_template(owner text, spec json) RETURNS json LANGUAGE plpgsql AS $$
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

-- ------------------------------------------------------------------------------------------------------------- schedules

CREATE TABLE schedules (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project       text NOT NULL DEFAULT 'default',
    name          text NOT NULL CHECK (name ~ '^[a-z0-9]([-_a-z0-9]{0,61}[a-z0-9])?$'),
    description   text NOT NULL,
    cron          text NOT NULL,
    timezone      text NOT NULL,
    template      text,
    version       integer,             -- of the template; null: the newest at the time of each slot
    params        jsonb NOT NULL CHECK (jsonb_typeof(params) = 'object'),
    pipeline      json,                -- instead of a template
    priority      smallint,
    labels        jsonb NOT NULL,
    overlap       text NOT NULL CHECK (overlap IN ('skip', 'allow', 'buffer_one', 'cancel_other')),
    catch_up      text NOT NULL CHECK (catch_up IN ('none', 'latest', 'all')),
    catch_up_max  integer NOT NULL CHECK (catch_up_max > 0),
    paused        boolean NOT NULL,
    next_run_at   timestamptz,         -- null while it is paused, or when its line never fires again
    missed        bigint NOT NULL DEFAULT 0,
    revision      bigint NOT NULL DEFAULT 0,        -- counts the changes by clients
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (project, name),
    CHECK ((template IS NULL) <> (pipeline IS NULL)),
    CHECK (NOT paused OR next_run_at IS NULL)
) WITH (fillfactor = 70);
CREATE INDEX schedules_due ON schedules (next_run_at) WHERE next_run_at IS NOT NULL;

CREATE TABLE schedule_slots (
    -- What became of each slot: this row and the pipeline of a slot are stored in one transaction.
    schedule_id  bigint NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    slot         timestamptz NOT NULL,
    state        text NOT NULL CHECK (state IN ('fired', 'skipped', 'waiting', 'missed', 'failed')),
    pipeline     uuid,
    ended        boolean NOT NULL DEFAULT false,    -- the pipeline was seen to have ended
    error        jsonb CHECK (jsonb_typeof(error) = 'object'),
    decided_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (schedule_id, slot),
    CHECK ((state = 'fired') = (pipeline IS NOT NULL)),
    CHECK ((state = 'failed') = (error IS NOT NULL))
);
CREATE INDEX schedule_slots_open ON schedule_slots (schedule_id) WHERE state = 'fired' AND NOT ended;
CREATE UNIQUE INDEX schedule_slots_waiting ON schedule_slots (schedule_id) WHERE state = 'waiting';

CREATE FUNCTION open_pipelines(schedule bigint) RETURNS uuid[] LANGUAGE sql AS $$
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

CREATE FUNCTION fire_slot(target bigint, the_slot timestamptz, made jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
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

CREATE FUNCTION fire_schedule(target bigint, seen_revision bigint, seen_slot timestamptz, wanted jsonb,
                              missed_slots timestamptz[], missed_count bigint, following timestamptz)
RETURNS json LANGUAGE plpgsql AS $$
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

CREATE FUNCTION fire_waiting_slot(target bigint, seen_revision bigint, the_slot timestamptz, made jsonb)
RETURNS json LANGUAGE plpgsql AS $$
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

-- As in 0001: an index, whatever the planner believes of tables that were empty when it last looked.
ALTER FUNCTION open_pipelines(bigint) SET enable_seqscan TO off;
ALTER FUNCTION fire_schedule(bigint, bigint, timestamptz, jsonb, timestamptz[], bigint, timestamptz)
    SET enable_seqscan TO off;
ALTER FUNCTION fire_waiting_slot(bigint, bigint, timestamptz, jsonb) SET enable_seqscan TO off;
ALTER FUNCTION take_periodic_slots(uuid, text[], integer[], double precision[]) SET enable_seqscan TO off;
