-- name: depths
-- What waits in each queue that is not empty and what runs of it.
SELECT queue, queued, running, extract(epoch FROM clock_timestamp() - oldest_at)::double precision AS oldest_age_s
  FROM queue_depths()
