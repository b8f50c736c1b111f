-- Moves a blob on by one step that life_next decided, if its seq is still the expected one.
--
-- KEYS  1 blob  2 timers  3 outbox  4 timeline  5 labels
-- ARGV  1 id  2 expected seq  3 delay of the timer in ms, -1: the blob is erased
--       4 labels to store ('' none)  5 name of the transition  6 events topic  7 event
--       8 work topic ('' none)  9 work item  10.. field, value, field, value, ...
-- Reply {1} moved; {0, field, value, ...} the record as it is now; {-1} there is no such blob
--
-- Atomic, because record, timer and what must be said belong together.  Only compares and
-- writes.  Safe to repeat: the second call finds another seq.
local seq = redis.call('HGET', KEYS[1], 'seq')
if not seq then return {-1} end
if seq ~= ARGV[2] then
  local record = redis.call('HGETALL', KEYS[1])
  table.insert(record, 1, 0)
  return record
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('XADD', KEYS[3], '*', 't', ARGV[6], 'k', ARGV[1], 'v', ARGV[7])
if ARGV[3] == '-1' then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('DEL', KEYS[1], KEYS[4], KEYS[5])
  return {1}
end
redis.call('HSET', KEYS[1], unpack(ARGV, 10))
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
redis.call('RPUSH', KEYS[4], (seq + 1) .. ' ' .. now .. ' ' .. ARGV[5])
redis.call('LTRIM', KEYS[4], -100, -1)
if ARGV[4] ~= '' then redis.call('SET', KEYS[5], ARGV[4]) end
if ARGV[8] ~= '' then
  redis.call('XADD', KEYS[3], '*', 't', ARGV[8], 'k', ARGV[1], 'v', ARGV[9])
end
return {1}
