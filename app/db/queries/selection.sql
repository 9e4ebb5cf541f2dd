-- name: page
-- One step of a walk over pipelines in the order of their age: at most $10 of them are looked at and at most $11 of those
-- that match are answered. If the step was a full one, its last row comes again without a summary: from there it goes
-- on. {walk} is one of the walks below; {order}, {beyond}, {far} and {far_id} are its direction.
WITH walked AS MATERIALIZED (
    {walk}
     ORDER BY created_at {order}, id {order} LIMIT $10
)
(SELECT m.id, m.created_at, (
            SELECT json_build_object(
                       'uuid', uuid, 'name', name, 'description', description, 'project', project, 'status', status,
                       'priority', priority, 'labels', labels, 'error', error, 'created_at', created_at,
                       'started_at', started_at, 'finished_at', finished_at)
              FROM pipelines AS p WHERE p.id = m.id) AS summary
   FROM (SELECT id, created_at FROM walked
          WHERE ($2::text[] IS NULL OR status = ANY ($2))
            AND ($3::uuid[] IS NULL OR uuid = ANY ($3))
            AND ($4::text IS NULL OR name = $4)
            AND ($5::jsonb IS NULL OR labels @> $5)
          ORDER BY created_at {order}, id {order} LIMIT $11) AS m)
UNION ALL
(SELECT id, created_at, NULL FROM walked ORDER BY created_at {order}, id {order} OFFSET $10 - 1)

-- name: seek
-- Where the walk is: nulls are no bounds. Bounds, and not conditions with OR, so that an index can be entered there.
project = $1
       AND created_at > coalesce($6::timestamptz, '-infinity') AND created_at < coalesce($7::timestamptz, 'infinity')
       AND (created_at, id) {beyond} (coalesce($8::timestamptz, '{far}'), coalesce($9::bigint, {far_id}))

-- name: columns
-- What the walks carry: no more than is asked about, because they may sort it.
id, created_at, uuid, status, name, labels

-- name: by_age
SELECT {columns} FROM pipelines
     WHERE {seek}

-- name: by_status
-- A walk for each status, because only within one the index is in order of age; what is live has an index of its own.
SELECT p.* FROM unnest($2::text[]) AS wanted (status) CROSS JOIN LATERAL (
        (SELECT {columns} FROM pipelines
          WHERE status = wanted.status AND finished_at IS NULL AND {seek}
          ORDER BY created_at {order}, id {order} LIMIT $10)
        UNION ALL
        (SELECT {columns} FROM pipelines
          WHERE status = wanted.status AND finished_at IS NOT NULL AND {seek}
          ORDER BY created_at {order}, id {order} LIMIT $10)) AS p

-- name: by_uuid
SELECT {columns} FROM pipelines
     WHERE uuid = ANY ($3::uuid[]) AND {seek}

-- name: statuses
SELECT uuid, status FROM pipelines WHERE project = $1 AND uuid = ANY ($2)
