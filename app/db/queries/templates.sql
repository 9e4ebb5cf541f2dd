-- name: create
SELECT create_template($1, $2::json)

-- name: get
-- One version of a template, the newest if none is named.
SELECT json_build_object('name', name, 'version', version, 'description', description, 'built_in', false,
                         'created_at', created_at, 'params_schema', params_schema, 'pipeline', pipeline)
  FROM templates
 WHERE project = $1 AND name = $2 AND ($3::integer IS NULL OR version = $3)
 ORDER BY version DESC LIMIT 1

-- name: page
-- The newest version of each template behind a name.
SELECT coalesce(json_agg(json_build_object('name', t.name, 'version', t.version, 'description', t.description,
                                           'built_in', false, 'created_at', t.created_at) ORDER BY t.name), '[]')
  FROM (SELECT DISTINCT ON (name) * FROM templates
         WHERE project = $1 AND name > $2 ORDER BY name, version DESC LIMIT $3) AS t
