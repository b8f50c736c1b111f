-- Forgets outbox rows that Kafka has acknowledged, unless the lease went to another meanwhile.
--
-- KEYS  1 relay  2 outbox
-- ARGV  1 who  2 id of the last acknowledged row
-- Reply {rows left, ms since the oldest of them was written}; {-1, 0} when the lease is lost
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {-1, 0} end
redis.call('XTRIM', KEYS[2], 'MINID', ARGV[2])
redis.call('XDEL', KEYS[2], ARGV[2])
local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
if not oldest then return {0, 0} end
local t = redis.call('TIME')
local written = tonumber(string.match(oldest[1], '^%d+'))
return {redis.call('XLEN', KEYS[2]), t[1] * 1000 + math.floor(t[2] / 1000) - written}
