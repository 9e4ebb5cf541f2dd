-- name: read
-- The events of a pipeline behind a sequence number, oldest first, and how far it has come.
SELECT p.id, p.last_seq, p.finished_at IS NOT NULL AS ended, e.events
  FROM pipelines AS p LEFT JOIN LATERAL (
      SELECT json_agg(json_build_object(
                 'id', e.seq::text, 'source', '/api/v1/pipelines/' || p.uuid, 'type', e.type, 'subject', e.subject,
                 'time', e."time", 'data', e.data) ORDER BY e.seq) AS events
        FROM (SELECT * FROM events WHERE pipeline_id = p.id AND seq > $2 ORDER BY seq LIMIT $3) AS e) AS e ON true
 WHERE p.uuid = $1
