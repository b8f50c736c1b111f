-- How many are in a sorted set, and how long the first has been.
--
-- KEYS  1 sorted set, scores in ms
-- Reply {members, ms since the lowest score; 0 without members}
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if not first[2] then return {0, 0} end
local t = redis.call('TIME')
return {redis.call('ZCARD', KEYS[1]), t[1] * 1000 + math.floor(t[2] / 1000) - first[2]}
