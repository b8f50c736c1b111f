-- Reads a blob and its labels as of one moment.
--
-- KEYS  1 blob  2 labels
-- Reply {labels or '', field, value, …}; {''} when there is no such blob
local record = redis.call('HGETALL', KEYS[1])
table.insert(record, 1, redis.call('GET', KEYS[2]) or '')
return record
