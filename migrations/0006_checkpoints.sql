-- What becomes of checkpoints after they were reported: they are listed, pinned, found torn, thinned out. And how fast
-- running stages get on.

ALTER TABLE checkpoints
    DROP CONSTRAINT checkpoints_state_check,
    ADD CONSTRAINT checkpoints_state_check CHECK (state IN ('writing', 'complete', 'invalid', 'deleting', 'deleted')),
    ADD COLUMN reason text CHECK (length(reason) <= 4000),      -- why it is invalid
    ADD COLUMN kept_by text NOT NULL DEFAULT '',                -- the rule of retention that has last left it alone
    ADD CHECK (NOT pinned OR state NOT IN ('deleting', 'deleted'));

-- The lists of clients, newest first: of a pipeline, and of all pipelines along each state.
CREATE INDEX checkpoints_by_pipeline ON checkpoints (pipeline_id, id);
CREATE INDEX checkpoints_by_state ON checkpoints (state, id);
-- What retention has to look at: whatever another rule, or none, has left alone.
CREATE INDEX checkpoints_to_judge ON checkpoints (kept_by, pipeline_id) WHERE state <> 'deleted';

CREATE FUNCTION may_resume(stage_status text, pipeline_status text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
-- Whether a stage may still run or be retried, so that it needs its checkpoints to resume from.
    SELECT stage_status <> 'completed' OR pipeline_status IN ('failed', 'cancelled')
$$;

-- ---------------------------------------------------------------------------------------------------------------- pace

CREATE TABLE paces (
    -- How fast the newest attempt of a stage gets on, as it has last reported.
    pipeline_id  bigint NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    position     integer NOT NULL,
    attempt      integer NOT NULL,
    step         double precision NOT NULL,
    total        double precision NOT NULL,
    steps_per_s  double precision CHECK (steps_per_s >= 0),
    eta_s        double precision CHECK (eta_s >= 0),       -- from reported_at on
    interval_s   double precision,                          -- between its last two reports
    reported_at  timestamptz NOT NULL,
    silent       boolean NOT NULL DEFAULT false,            -- it has missed several reports
    PRIMARY KEY (pipeline_id, position)
) WITH (fillfactor = 70);

CREATE TABLE running_totals (
    -- What runs, by task: a row for each that does, written anew once a minute.
    task         text PRIMARY KEY,
    running      integer NOT NULL,
    reporting    integer NOT NULL,
    silent       integer NOT NULL,
    steps_per_s  double precision NOT NULL,                 -- of all of them together
    eta_s        double precision,                          -- the longest
    updated_at   timestamptz NOT NULL
);

CREATE FUNCTION time_to_go(eta_s double precision, reported_at timestamptz) RETURNS double precision LANGUAGE sql STABLE AS $$
-- What is left now of a time to go that was reported then; null if none was.
    SELECT CASE WHEN eta_s IS NOT NULL
                THEN greatest(0, eta_s - extract(epoch FROM clock_timestamp() - reported_at)) END
$$;
