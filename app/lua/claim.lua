-- Pop jobs for a worker's free slots and note them as in flight, until their claim in Postgres has been answered.
-- Queues are served in the order given, except that one job that has waited longer than the starvation bound goes
-- first. Whoever leaves work behind sets the wake marker for the next worker.
-- KEYS: in-flight set, in-flight homes.
-- ARGV: in-flight ms, starvation ms, then for each kind of slot: free slots, number of queues n, n × (queue, wake marker).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local taken = {}

local function take(queue, wake, count)
  local popped = redis.call('ZPOPMIN', queue, count)
  for i = 1, #popped, 2 do
    local id, score = popped[i], popped[i + 1]
    local body = redis.call('GET', 'arq:job:' .. id)
    if body then
      redis.call('ZADD', KEYS[1], now + ARGV[1], id)
      redis.call('HSET', KEYS[2], id, cmsgpack.pack({ queue, wake, score }))
      table.insert(taken, id)
      table.insert(taken, body)
      table.insert(taken, score)
    end
  end
  return #popped / 2
end

local i = 3
while ARGV[i] do
  local free, queues, starved, longest = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), nil, tonumber(ARGV[2])
  local first = i + 2
  i = first + 2 * queues
  for q = first, i - 1, 2 do
    local head = redis.call('ZRANGE', ARGV[q], 0, 0, 'WITHSCORES')
    if head[1] and now - head[2] > longest then
      starved, longest = q, now - head[2]
    end
  end
  if starved and free > 0 then
    free = free - take(ARGV[starved], ARGV[starved + 1], 1)
  end
  for q = first, i - 1, 2 do
    if free > 0 then
      free = free - take(ARGV[q], ARGV[q + 1], free)
    end
    if redis.call('ZCARD', ARGV[q]) > 0 then
      redis.call('ZADD', ARGV[q + 1], 0, '0')
    end
  end
end
return taken
