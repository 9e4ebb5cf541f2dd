-- name: pause
-- Hold back (or let go) the stages of a queue; false if there is none of that name.
SELECT pause_queue($1, $2)
-- name: depths
-- What waits in each queue that is not empty and what runs of it.
SELECT queue, queued, running, extract(epoch FROM clock_timestamp() - oldest_at)::double precision AS oldest_age_s
  FROM queue_depths()

-- name: paused
SELECT paused_queues()
