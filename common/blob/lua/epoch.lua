-- Whose data a shard holds.
--
-- KEYS  1 epoch
-- ARGV  1 epoch to establish if there is none, '' only looks
-- Reply the epoch, '' none
if ARGV[1] ~= '' then redis.call('SET', KEYS[1], ARGV[1], 'NX') end
return redis.call('GET', KEYS[1]) or ''
