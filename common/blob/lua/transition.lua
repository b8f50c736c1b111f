-- Moves a blob on by one step that life_next decided, if the record is still the expected one.
--
-- KEYS  1 blob  2 timers  3 outbox  4 timeline  5 labels  6 the ids in the phase it leaves
--       7 those in the phase it comes to  8 epoch
-- ARGV  1 id  2 expected seq  3 expected updated_ms  4 delay of the timer in ms, -1: erased
--       5 labels to store ('' none, '-' forget them)  6 name of the transition
--       7 events topic  8 event  9 work topic ('' none)  10 work item  11.. field, value, field, value, ...
-- Reply {1} moved; {0, field, value, ...} the record as it is now; {-1} there is no such blob;
--       {-2} there is none because this shard has lost its data
--
-- Atomic, because record, timer and what must be said belong together.  Only compares and
-- writes.  Safe to repeat: the second call finds another seq.  The time stands beside seq,
-- because after a failover that lost the last step another step may take the same seq.
local record = redis.call('HMGET', KEYS[1], 'seq', 'updated_ms')
local seq = record[1]
if not seq then return {redis.call('EXISTS', KEYS[8]) - 2} end
if seq ~= ARGV[2] or record[2] ~= ARGV[3] then
  local reply = redis.call('HGETALL', KEYS[1])
  table.insert(reply, 1, 0)
  return reply
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('XADD', KEYS[3], '*', 't', ARGV[7], 'k', ARGV[1], 'v', ARGV[8])
if ARGV[4] == '-1' then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[6], ARGV[1])
  redis.call('DEL', KEYS[1], KEYS[4], KEYS[5])
  return {1}
end
redis.call('HSET', KEYS[1], unpack(ARGV, 11))
redis.call('ZADD', KEYS[2], now + ARGV[4], ARGV[1])
redis.call('RPUSH', KEYS[4], (seq + 1) .. ' ' .. now .. ' ' .. ARGV[6])
redis.call('LTRIM', KEYS[4], -100, -1)
if ARGV[5] == '-' then redis.call('DEL', KEYS[5])
elseif ARGV[5] ~= '' then redis.call('SET', KEYS[5], ARGV[5]) end
if KEYS[6] ~= KEYS[7] then
  redis.call('ZREM', KEYS[6], ARGV[1])
  if not string.find(KEYS[7], ':finished', -9, true) then
    redis.call('ZADD', KEYS[7], now, ARGV[1])
  end
end
if ARGV[9] ~= '' then
  redis.call('XADD', KEYS[3], '*', 't', ARGV[9], 'k', ARGV[1], 'v', ARGV[10])
end
return {1}
