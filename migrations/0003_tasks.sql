-- What the tasks API reads: lists by status, reported metrics, and statistics that never scan history.

-- Newest first among the stages of one status. What completes leaves it, so it holds what is live or ended badly. Every
-- change of status writes an entry of it anew; but as other indexes name the status too, none of those was free anyway.
CREATE INDEX stages_by_status ON stages (status, pipeline_id, position) WHERE status <> 'completed';

-- What a stage waits for; the primary key leads the other way.
CREATE INDEX dependencies_by_stage ON dependencies (pipeline_id, stage);

CREATE FUNCTION walk_stages(walk text, statuses text[], of_task text, of_queue text, before_pipeline bigint,
                            before_position integer, from_pipeline bigint, wanted integer, walked_max integer)
RETURNS TABLE (pipeline_id bigint, "position" integer, matched boolean, stopped boolean) LANGUAGE plpgsql STABLE AS $$
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
END $$;

CREATE INDEX workers_left ON workers (heartbeat_at) WHERE state IN ('stopped', 'lost');

-- ------------------------------------------------------------------------------------------------------------- metrics

CREATE TABLE metric_series (
    -- What one attempt reports under one name. Of its reports, numbered from 0, every `stride`th is kept, and the last.
    pipeline_id  bigint NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    position     integer NOT NULL,
    attempt      integer NOT NULL,
    series       smallint NOT NULL,     -- number of the name in its attempt
    name         text NOT NULL,
    stride       integer NOT NULL CHECK (stride > 0),
    last_n       integer NOT NULL,
    last_step    double precision NOT NULL,
    last_value   double precision NOT NULL,
    last_at      double precision NOT NULL,
    PRIMARY KEY (pipeline_id, position, attempt, series)
) WITH (fillfactor = 70);

CREATE TABLE metric_points (
    pipeline_id  bigint NOT NULL,
    position     integer NOT NULL,
    attempt      integer NOT NULL,
    series       smallint NOT NULL,
    n            integer NOT NULL,
    step         double precision NOT NULL,
    value        double precision NOT NULL,
    at           double precision NOT NULL,     -- Unix seconds of the database's clock
    PRIMARY KEY (pipeline_id, position, attempt, series, n),
    FOREIGN KEY (pipeline_id, position, attempt, series) REFERENCES metric_series ON DELETE CASCADE
);

-- ---------------------------------------------------------------------------------------------------------- statistics

CREATE TABLE stats_totals (
    -- How often stages have ended, and how: one that is retried ends again, and deleting a pipeline takes nothing away.
    project  text NOT NULL,
    task     text NOT NULL,
    queue    text NOT NULL,
    status   text NOT NULL,
    count    bigint NOT NULL,
    PRIMARY KEY (project, task, queue, status)
);

CREATE TABLE stats_minutes (
    -- The same by minute, for a day, with the duration of the last attempt. `bucket` is four times its binary logarithm,
    -- so that neighbours are a fifth apart; null for a stage that ended while it waited.
    minute       timestamptz NOT NULL,
    project      text NOT NULL,
    task         text NOT NULL,
    status       text NOT NULL,
    bucket       smallint,
    count        bigint NOT NULL,
    duration_s   double precision NOT NULL,     -- the sum
    longest_s    double precision NOT NULL,
    UNIQUE NULLS NOT DISTINCT (minute, project, task, status, bucket)
);

CREATE TABLE stats_cursor (
    -- One row: the events below this place have been counted, and those from before `since` as what they had led to.
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    place       bigint NOT NULL,
    since       timestamptz NOT NULL,
    counted_at  timestamptz NOT NULL
);

INSERT INTO stats_totals (project, task, queue, status, count)
SELECT p.project, s.task, s.queue, s.status, count(*)
  FROM stages AS s JOIN pipelines AS p ON p.id = s.pipeline_id
 WHERE s.finished_at IS NOT NULL GROUP BY p.project, s.task, s.queue, s.status;
INSERT INTO stats_cursor (place, since, counted_at)
VALUES (settled_place(), clock_timestamp(), clock_timestamp());

CREATE FUNCTION count_ends(batch integer) RETURNS json LANGUAGE plpgsql AS $$
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

CREATE FUNCTION live_counts() RETURNS TABLE (status text, queue text, task text, count bigint) LANGUAGE sql STABLE AS $$
-- How many stages there are of each status that is not terminal.
    SELECT s.status, s.queue, s.task, count(*) FROM stages AS s
     WHERE s.status IN ('pending', 'queued', 'running', 'retrying') GROUP BY s.status, s.queue, s.task
$$;

CREATE FUNCTION queue_depths() RETURNS TABLE (queue text, queued bigint, running bigint, oldest_at timestamptz)
LANGUAGE sql STABLE AS $$
-- What waits in each queue and what runs of it.
    SELECT s.queue, count(*) FILTER (WHERE s.status = 'queued'), count(*) FILTER (WHERE s.status = 'running'),
           min(s.queued_at) FILTER (WHERE s.status = 'queued')
      FROM stages AS s WHERE s.status IN ('queued', 'running') GROUP BY s.queue
$$;

-- As in 0001: an index of live rows, whatever the planner believes of tables that were empty when it last looked.
ALTER FUNCTION walk_stages(text, text[], text, text, bigint, integer, bigint, integer, integer) SET enable_seqscan TO off;
ALTER FUNCTION walk_stages(text, text[], text, text, bigint, integer, bigint, integer, integer) SET enable_bitmapscan TO off;
ALTER FUNCTION walk_stages(text, text[], text, text, bigint, integer, bigint, integer, integer) SET enable_sort TO off;
ALTER FUNCTION count_ends(integer) SET enable_seqscan TO off;
ALTER FUNCTION count_ends(integer) SET plan_cache_mode TO force_generic_plan;
ALTER FUNCTION live_counts() SET enable_seqscan TO off;
ALTER FUNCTION queue_depths() SET enable_seqscan TO off;
