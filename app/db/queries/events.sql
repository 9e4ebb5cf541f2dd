-- name: read
-- The events of a pipeline behind a sequence number, oldest first, and how far it has come.
SELECT p.id, p.last_seq, p.finished_at IS NOT NULL AS ended, e.events
  FROM pipelines AS p LEFT JOIN LATERAL (
      SELECT json_agg(e) AS events
        FROM (SELECT seq::text AS id, '/api/v1/pipelines/' || p.uuid AS source, type, subject, "time", data
                FROM events WHERE pipeline_id = p.id AND seq > $2 ORDER BY events.seq LIMIT $3) AS e) AS e ON true
 WHERE p.uuid = $1

-- name: news
-- What a reader of all pipelines lacks: events behind its floor ($1 to $3), but those up to a number of some pipelines
-- ($4), in the order of their keys; and below which place nothing will be added.
SELECT settled_place() AS settled, (
    SELECT json_agg(json_build_object(
               'place', e.place, 'pipeline_id', e.pipeline_id, 'seq', e.seq, 'labels', p.labels,
               'status', CASE s.type WHEN 'pipeline.created' THEN 'pending' WHEN 'pipeline.started' THEN 'running'
                                     WHEN 'pipeline.resumed' THEN 'running' ELSE substr(s.type, 10) END,
               'event', json_build_object(
                   'id', e.seq::text, 'source', '/api/v1/pipelines/' || p.uuid, 'type', e.type, 'subject', e.subject,
                   'time', e."time", 'data', e.data)) ORDER BY e.place, e.pipeline_id, e.seq)
      FROM (SELECT * FROM events
             WHERE (place, pipeline_id, seq) > ($1, $2, $3)
               AND seq > coalesce(($4::jsonb ->> pipeline_id::text)::integer, 0)
             ORDER BY place, pipeline_id, seq LIMIT $5) AS e
      JOIN pipelines AS p ON p.id = e.pipeline_id
      LEFT JOIN LATERAL (SELECT type FROM events
                          WHERE pipeline_id = e.pipeline_id AND seq <= e.seq AND subject IS NULL
                          ORDER BY seq DESC LIMIT 1) AS s ON true) AS events

-- name: now
-- Where a reader begins that wants to hear of nothing that is past: the settled place, the one that no event has reached,
-- and for pipelines that have events between them the last one's number and place.
SELECT settled_place() AS settled, place_of(pg_snapshot_xmax(pg_current_snapshot())) AS beyond, (
    SELECT json_object_agg(pipeline_id, json_build_array(seq, place))
      FROM (SELECT pipeline_id, max(seq) AS seq, max(place) AS place
              FROM events WHERE place >= settled_place() GROUP BY pipeline_id) AS e) AS ahead

-- name: traits
-- What streams are filtered by, of pipelines as they are now.
SELECT json_object_agg(uuid, json_build_object('status', status, 'labels', labels)) FROM pipelines WHERE uuid = ANY ($1)
