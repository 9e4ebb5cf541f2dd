-- name: register
INSERT INTO task_types (name, queue, slot, version, params_schema, result_schema)
SELECT t.name, t.queue, t.slot, t.version, t.params_schema, t.result_schema
  FROM json_to_recordset($1::json) AS t (name text, queue text, slot text, version text, params_schema json,
                                         result_schema json)
 ORDER BY t.name
ON CONFLICT (project, name) DO UPDATE
   SET queue = excluded.queue, slot = excluded.slot, version = excluded.version,
       params_schema = excluded.params_schema, result_schema = excluded.result_schema, registered_at = clock_timestamp()

-- name: registered
SELECT coalesce(json_agg(json_build_object(
           'name', name, 'queue', queue, 'slot', slot, 'version', version, 'params_schema', params_schema,
           'result_schema', result_schema) ORDER BY name), '[]')
  FROM task_types WHERE project = $1
