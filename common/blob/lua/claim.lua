-- Claims due timers by moving them forward: several watchers share the work, and what one claims
-- and then dies over falls due again.
--
-- KEYS  1 timers
-- ARGV  1 most timers to claim  2 how far to move them, in ms
-- Reply {number due in all, ms the oldest is late, time they were moved to in ms, id, id, ...}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES', 'LIMIT', 0, ARGV[1])
local reply = {redis.call('ZCOUNT', KEYS[1], '-inf', now), #due > 0 and now - due[2] or 0,
               now + ARGV[2]}
for i = 1, #due, 2 do
  redis.call('ZADD', KEYS[1], now + ARGV[2], due[i])
  reply[#reply + 1] = due[i]
end
return reply
