-- Pop jobs for a worker's free slots and note them as in flight, until their claim in Postgres has been answered.
-- Queues are served in the order given, except that one job that has waited longer than the starvation bound goes
-- first. The lanes of one queue are served together, the lowest score first. Whoever leaves work behind sets the wake
-- marker for the next worker.
-- KEYS: in-flight set, in-flight homes, lanes that hold jobs.
-- ARGV: in-flight ms, starvation ms, then for each kind of slot: free slots, number of queues n, number of lanes of each
-- m, n × m × (lane, wake marker).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local taken = {}
local heads = {} -- the lowest score in each lane that holds jobs, by the lane's place in ARGV

local function look(l)
  heads[l] = tonumber(redis.call('ZRANGE', ARGV[l], 0, 0, 'WITHSCORES')[2])
  if not heads[l] then
    redis.call('SREM', KEYS[3], ARGV[l])
  end
end

-- A worker with many tasks has hundreds of lanes, nearly all of them empty: ask for those that are not, at once.
local function look_at_all(first, last)
  local lanes = {}
  for l = first, last - 1, 2 do
    table.insert(lanes, ARGV[l])
  end
  for n, holds_jobs in ipairs(redis.call('SMISMEMBER', KEYS[3], unpack(lanes))) do
    if holds_jobs == 1 then
      look(first + 2 * n - 2)
    end
  end
end

local function take(l, count)
  local popped = redis.call('ZPOPMIN', ARGV[l], count)
  for i = 1, #popped, 2 do
    local id, score = popped[i], popped[i + 1]
    local body = redis.call('GET', 'arq:job:' .. id)
    if body then
      redis.call('ZADD', KEYS[1], now + ARGV[1], id)
      redis.call('HSET', KEYS[2], id, cmsgpack.pack({ ARGV[l], ARGV[l + 1], score }))
      table.insert(taken, id)
      table.insert(taken, body)
      table.insert(taken, score)
    end
  end
  look(l)
  return #popped / 2
end

-- Of the lanes from `first` to before `last`, the one with the lowest score, and whether it is the only one with any.
local function lowest(first, last)
  local best, alone = nil, true
  for l = first, last - 1, 2 do
    if heads[l] then
      alone = best == nil
      if alone or heads[l] < heads[best] then
        best = l
      end
    end
  end
  return best, alone
end

local i = 3
while ARGV[i] do
  local free, lanes, starved, longest = tonumber(ARGV[i]), 2 * ARGV[i + 2], nil, tonumber(ARGV[2])
  local first, last = i + 3, i + 3 + ARGV[i + 1] * lanes
  look_at_all(first, last)
  for l = first, last - 1, 2 do
    if heads[l] and now - heads[l] > longest then
      starved, longest = l, now - heads[l]
    end
  end
  if starved and free > 0 then
    free = free - take(starved, 1)
  end
  for queue = first, last - 1, lanes do
    local best, alone = lowest(queue, queue + lanes)
    while best and free > 0 do
      free = free - take(best, alone and free or 1)
      best, alone = lowest(queue, queue + lanes)
    end
    for l = queue, queue + lanes - 1, 2 do
      if heads[l] then
        redis.call('ZADD', ARGV[l + 1], 0, '0')
      end
    end
  end
  i = last
end
return taken
