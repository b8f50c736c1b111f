-- The facts that all services must agree on; the first to come writes them.
--
-- KEYS  1 meta
-- ARGV  1 number of shards, '' only looks  2 schema version  3 epoch to establish, '' none
-- Reply {shards, schema, Redis time in ms, epoch or '', what INFO tells}
--
-- Writes only what is missing, so that a Redis that is full or read-only answers too.  INFO may be
-- barred, and is then empty.
if ARGV[1] ~= '' and redis.call('HEXISTS', KEYS[1], 'schema') == 0 then
  redis.call('HSETNX', KEYS[1], 'shards', ARGV[1])
  redis.call('HSETNX', KEYS[1], 'schema', ARGV[2])
end
if ARGV[3] ~= '' then redis.call('HSETNX', KEYS[1], 'epoch', ARGV[3]) end
local info = ''
for _, section in ipairs({'memory', 'persistence', 'replication'}) do
  local text = redis.pcall('INFO', section)
  if type(text) == 'string' then info = info .. text end
end
local t = redis.call('TIME')
return {redis.call('HGET', KEYS[1], 'shards'), redis.call('HGET', KEYS[1], 'schema'),
        t[1] * 1000 + math.floor(t[2] / 1000), redis.call('HGET', KEYS[1], 'epoch') or '', info}
