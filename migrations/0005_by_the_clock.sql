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
    finished_at  timestamptz,
    PRIMARY KEY (name, slot),
    CHECK ((outcome IS NULL) = (finished_at IS NULL)),
    CHECK (coalesce(outcome, '') = 'missed' OR (worker_id IS NOT NULL AND started_at IS NOT NULL))
);
CREATE INDEX periodic_runs_running ON periodic_runs (name) WHERE outcome IS NULL;

CREATE FUNCTION holds_lease(worker uuid, moment timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
-- Whether a worker may still be at work.
    SELECT EXISTS (SELECT FROM workers WHERE id = worker AND state IN ('live', 'draining') AND lease_expires_at > moment)
$$;

CREATE FUNCTION slot_of(moment timestamptz, interval_s integer) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
-- The slot that a moment lies in.
    SELECT date_bin(make_interval(secs => interval_s), moment, timestamptz '1970-01-01 00:00:00+00')
$$;

CREATE FUNCTION take_periodic_slots(worker uuid, names text[], intervals_s integer[]) RETURNS json LANGUAGE plpgsql AS $$
-- Gives the worker the slots that have begun and that nobody has taken, one for each task at most, and records those that
-- went by without anybody: all are counted, the newest hundred have a row. The row of the task is the lock, its last slot
-- the guard, and this clock the only one that decides; so a slot is taken once, whatever Redis or a worker's clock says.
-- A task whose last run goes on is left alone; a run whose worker has lost its lease is over.
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
               error = '{"code": "lost_worker", "message": "The worker has lost its lease."}'
         WHERE r.name = task.name AND r.outcome IS NULL AND NOT holds_lease(r.worker_id, moment);
        CONTINUE WHEN present <= task.last_slot
                   OR EXISTS (SELECT FROM periodic_runs AS r WHERE r.name = task.name AND r.outcome IS NULL);
        passed := coalesce(greatest(0, ceil(extract(epoch FROM present - task.last_slot) / task.interval_s) - 1), 0);
        INSERT INTO periodic_runs (name, slot, outcome, finished_at)
        SELECT task.name, present - n * step, 'missed', moment FROM generate_series(1, least(passed, 100)) AS n
            ON CONFLICT (name, slot) DO NOTHING;
        INSERT INTO periodic_runs (name, slot, worker_id, started_at) VALUES (task.name, present, worker, moment)
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
