-- Takes or keeps the lease of a shard's relay.
--
-- KEYS  1 relay
-- ARGV  1 who  2 lease in ms
-- Reply 1 it is ours for that long; 0 another holds it
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
