-- Reads a blob, its labels and its timer as of one moment.
--
-- KEYS  1 blob  2 labels  3 timers  4 epoch
-- ARGV  1 id
-- Reply {labels or '', time the timer is due in ms or '', field, value, ...}; without fields when
--       there is no such blob; {-2} there is none because this shard has lost its data
local record = redis.call('HGETALL', KEYS[1])
if #record == 0 and redis.call('EXISTS', KEYS[4]) == 0 then return {-2} end
table.insert(record, 1, redis.call('ZSCORE', KEYS[3], ARGV[1]) or '')
table.insert(record, 1, redis.call('GET', KEYS[2]) or '')
return record
