-- Return jobs from in flight to their queues, at their old score: the ones named, or those that have been in flight for
-- too long because their worker died between the pop and the claim.
-- KEYS: in-flight set, in-flight homes, lanes that hold jobs.   ARGV: ids, or none for the stale ones.
local ids = ARGV
if #ids == 0 then
  local time = redis.call('TIME')
  ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', time[1] * 1000 + math.floor(time[2] / 1000), 'LIMIT', 0, 1000)
end
local returned = 0
for _, id in ipairs(ids) do
  local home = redis.call('HGET', KEYS[2], id)
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
  if home then
    local lane, wake, score = unpack(cmsgpack.unpack(home))
    redis.call('ZADD', lane, score, id)
    redis.call('SADD', KEYS[3], lane)
    redis.call('ZADD', wake, 0, '0')
    returned = returned + 1
  end
end
return returned
