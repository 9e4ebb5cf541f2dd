-- Put jobs on their queues, as often as you like: a job that is there keeps its place, one that a worker has just
-- popped is left alone.
-- KEYS: in-flight set, lanes that hold jobs.
-- ARGV: body lifetime in ms, then for each job: lane, wake marker, id, score, body.
local added = 0
local known, woken = {}, {}
for i = 2, #ARGV, 5 do
  local lane, wake, id, score, body = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  if not redis.call('ZSCORE', KEYS[1], id) then
    redis.call('SET', 'arq:job:' .. id, body, 'PX', ARGV[1])
    if redis.call('ZADD', lane, score, id) == 1 then
      added = added + 1
      if not woken[wake] then
        redis.call('ZADD', wake, 0, '0')
        woken[wake] = true
      end
    end
    if not known[lane] then
      redis.call('SADD', KEYS[2], lane)
      known[lane] = true
    end
  end
end
return added
