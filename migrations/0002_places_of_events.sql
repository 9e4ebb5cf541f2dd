-- Where events stand among those of all pipelines, for readers that follow everything.
--
-- Numbers that are taken in order are not committed in order, so behind the last number that a reader has seen others may
-- still appear. A place is therefore made of transaction ids: Postgres knows which of these have not ended, and below
-- the oldest of them (`settled_place`) nothing can be added any more. A place promises two things:
--
--   it is not below the id of its own transaction   so nothing appears below the settled place
--   it never falls from an event to the next one    so the order of places is the order of seq in each pipeline
--   of the same pipeline
--
-- The bare transaction id keeps the first promise only: who locks several pipelines has its id from the first of them, and
-- may get the last one after a transaction with a higher id has come and gone there. `next_place` is not below the id of
-- any transaction that had ended when it was asked for, so not below what was written under the same lock before.

CREATE FUNCTION places_before() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 0::bigint';
-- What is added to transaction ids to make places. `continue_places` replaces it, and what is stable is then planned anew.

CREATE FUNCTION place_of(id xid8) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT id::text::bigint + places_before()';

CREATE FUNCTION next_place() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT greatest(place_of(pg_current_xact_id()), place_of(pg_snapshot_xmax(pg_current_snapshot())) - 1)
$$;

CREATE FUNCTION settled_place() RETURNS bigint LANGUAGE sql STABLE AS $$
-- All events below this place are visible, and no others will ever appear there.
    SELECT place_of(pg_snapshot_xmin(pg_current_snapshot()))
$$;

CREATE FUNCTION continue_places() RETURNS void LANGUAGE plpgsql AS $$
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

ALTER TABLE events ADD COLUMN place bigint NOT NULL DEFAULT next_place();

CREATE INDEX events_by_place ON events (place, pipeline_id, seq);
-- The events of pipelines themselves, without those of their stages: what state a pipeline was in at some event.
CREATE INDEX events_of_pipelines ON events (pipeline_id, seq) WHERE subject IS NULL;
