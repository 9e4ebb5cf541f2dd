-- name: pause
-- Hold back (or let go) the stages of a queue; false if there is none of that name.
SELECT pause_queue($1, $2)
