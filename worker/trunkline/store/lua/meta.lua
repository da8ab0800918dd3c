#!lua flags=allow-oom
-- meta: the version of the data: noted where nobody has, and asked. A store that was there before versions were is of schema 1.
--
-- ARGV[2]  "": ask and note · "migrated": everything of an older schema has been brought to this one
-- Result   {schema of the data, the schema that these scripts write, the oldest that may write}
-- Cost     4 commands
local META = P .. 'meta'
local schema = tonumber(call('HGET', META, 'schema') or nil)
if ARGV[2] == 'migrated' then
  if not schema or schema < SCHEMA then
    schema = SCHEMA
    call('HSET', META, 'schema', schema)
  end
elseif not schema then
  schema = call('EXISTS', P .. 'policies') == 1 and 1 or SCHEMA
  call('HSET', META, 'schema', schema)
end
return { schema, SCHEMA, least or 0 }
