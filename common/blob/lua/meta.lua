-- The facts that all services must agree on; the first to come writes them.
--
-- KEYS  1 meta
-- ARGV  1 number of shards  2 schema version
-- Reply {shards, schema, Redis time in ms}
redis.call('HSETNX', KEYS[1], 'shards', ARGV[1])
redis.call('HSETNX', KEYS[1], 'schema', ARGV[2])
local t = redis.call('TIME')
return {redis.call('HGET', KEYS[1], 'shards'), redis.call('HGET', KEYS[1], 'schema'),
        t[1] * 1000 + math.floor(t[2] / 1000)}
