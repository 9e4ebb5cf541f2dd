"""Defects of the queue: jobs that get lost, doubled, out of order, or wake nobody."""

from tests.properties.mutants.mutant import Mutant

CLAIM, ENQUEUE, PUT_BACK = (f"app/lua/{name}.lua" for name in ("claim", "enqueue", "put_back"))
QUEUE = "app/queue.py"
ALL = (
    Mutant(
        "popped_not_in_flight",
        "a job that was popped is nowhere until it is claimed",
        CLAIM,
        {"      redis.call('ZADD', KEYS[1], now + ARGV[1], id)\n": ""},
        ("test_a_job_whose_worker_died_returns_to_its_queue",),
    ),
    Mutant(
        "popped_home_forgotten",
        "nobody knows where a popped job came from",
        CLAIM,
        {"      redis.call('HSET', KEYS[2], id, cmsgpack.pack({ ARGV[l], ARGV[l + 1], score }))\n": ""},
        ("test_a_job_whose_worker_died_returns_to_its_queue",),
    ),
    Mutant(
        "rest_wakes_nobody",
        "a worker that leaves jobs behind does not wake the next",
        CLAIM,
        {"      if heads[l] then\n        redis.call('ZADD'": "      if false then\n        redis.call('ZADD'"},
        ("test_who_leaves_work_behind_wakes_the_next",),
    ),
    Mutant(
        "starvation_unbounded",
        "a job of a low queue may wait for ever",
        CLAIM,
        {"  if starved and free > 0 then": "  if false then"},
        ("test_what_has_waited_too_long_goes_first_whatever_its_queue",),
    ),
    Mutant(
        "lanes_served_one_after_the_other",
        "a lane is emptied before the next one of its queue is looked at",
        CLAIM,
        {"take(best, alone and free or 1)": "take(best, free)"},
        ("test_the_lanes_of_a_queue_are_served_as_one",),
    ),
    Mutant(
        "lanes_not_noted",
        "a job is put on a lane that nobody knows to hold any",
        ENQUEUE,
        {"      redis.call('SADD', KEYS[2], lane)\n": ""},
        ("test_a_dispatch_may_be_repeated",),
    ),
    Mutant(
        "put_back_on_a_forgotten_lane",
        "a job returns to a lane that nobody knows to hold any",
        PUT_BACK,
        {"    redis.call('SADD', KEYS[3], lane)\n": ""},
        (
            "test_what_is_put_back_may_be_dispatched_and_popped_like_any_other",
            "test_a_job_that_is_put_back_returns_to_its_lane",
        ),
    ),
    Mutant(
        "dispatched_while_in_flight",
        "a job that a worker has just popped is dispatched again",
        ENQUEUE,
        {"  if not redis.call('ZSCORE', KEYS[1], id) then": "  if true then"},
        ("test_what_a_worker_has_just_popped_is_not_dispatched_again",),
    ),
    Mutant(
        "dispatch_wakes_nobody",
        "a dispatched job waits until a worker looks by itself",
        ENQUEUE,
        {"      redis.call('ZADD', wake, 0, '0')\n": ""},
        ("test_a_dispatch_wakes_a_waiting_worker",),
    ),
    Mutant(
        "put_back_at_the_end",
        "a job that returns loses its place",
        PUT_BACK,
        {"    redis.call('ZADD', lane, score, id)\n": "    redis.call('ZADD', lane, '+inf', id)\n"},
        ("test_what_is_put_back_keeps_its_place",),
    ),
    Mutant(
        "put_back_stays_in_flight",
        "a job that returns counts as popped still",
        PUT_BACK,
        {"  redis.call('ZREM', KEYS[1], id)\n": ""},
        ("test_what_is_put_back_is_no_longer_in_flight",),
    ),
    Mutant(
        "put_back_too_early",
        "jobs that are just being claimed return to their queue",
        PUT_BACK,
        {"'-inf', time[1] * 1000 + math.floor(time[2] / 1000), 'LIMIT'": "'-inf', '+inf', 'LIMIT'"},
        ("test_a_job_whose_worker_is_claiming_it_is_left_alone",),
    ),
    Mutant(
        "settled_stays_in_flight",
        "a job stays in flight after its claim was answered",
        QUEUE,
        {"            pipe.zrem(self._in_flight, *job_ids)\n": ""},
        ("test_what_is_settled_leaves_nothing_behind",),
    ),
    Mutant(
        "priority_ignored",
        "in a queue the oldest goes first, whatever its priority",
        QUEUE,
        {"queued_at_ms - stage.priority * PRIORITY_BOOST_MS": "queued_at_ms"},
        ("test_a_point_of_priority_is_worth_some_waiting_and_no_more",),
    ),
    Mutant(
        "age_ignored",
        "in a queue the highest priority goes first, however long others have waited",
        QUEUE,
        {"queued_at_ms - stage.priority * PRIORITY_BOOST_MS": "-stage.priority"},
        ("test_a_point_of_priority_is_worth_some_waiting_and_no_more",),
    ),
    Mutant(
        "hints_lost",
        "what was committed is told to nobody",
        QUEUE,
        {"        self._add_hints(pipe, transition.hints)\n": ""},
        ("test_a_hint_says_where_to_look_and_whether_to_release",),
    ),
    Mutant(
        "dispatch_lost",
        "what was queued is not put on Redis after the commit",
        QUEUE,
        {"        for batch in self._batches(transition.queued):\n": "        for batch in self._batches([]):\n"},
        ("test_a_completion_releases_and_dispatches_what_waited_for_it",),
    ),
    Mutant(
        "garbage_stays",
        "what nobody here has written comes back again and again",
        QUEUE,
        {"            await self._drop_garbage(garbage)\n": "            pass\n"},
        ("test_garbage_in_a_queue_is_dropped_and_its_neighbours_stay_in_flight",),
    ),
    Mutant(
        "redis_life_not_compared",
        "a Redis that was restarted is taken for the one before",
        QUEUE,
        {'self.redis.get(self._key("epoch")) == await self._run_id()': 'self.redis.get(self._key("epoch"))'},
        ("test_a_restarted_redis_is_a_new_one_even_if_it_has_kept_its_data",),
    ),
)
