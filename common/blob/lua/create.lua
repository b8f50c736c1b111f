-- Stores a new blob with its timer, its first timeline entry and its first event.
--
-- KEYS  1 blob  2 timers  3 outbox  4 timeline  5 the ids in its phase  6 epoch
-- ARGV  1 id  2 delay of the timer in ms  3 outbox cap in rows  4 name of the transition
--       5 events topic  6 event  7.. field, value, field, value, ...
-- Reply 1 created; 0 the id exists (also when this very call is repeated); -1 the outbox is full;
--       -2 this shard has lost its data
--
-- Atomic, because a record without a timer would be lost and one without an event unheard.
-- Safe to repeat: the second call finds the id.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if redis.call('EXISTS', KEYS[6]) == 0 then return -2 end
if redis.call('XLEN', KEYS[3]) >= tonumber(ARGV[3]) then return -1 end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', KEYS[1], unpack(ARGV, 7))
redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[5], now, ARGV[1])
redis.call('RPUSH', KEYS[4], '1 ' .. now .. ' ' .. ARGV[4])
redis.call('XADD', KEYS[3], '*', 't', ARGV[5], 'k', ARGV[1], 'v', ARGV[6])
return 1
