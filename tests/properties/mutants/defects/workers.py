"""Defects of the worker: a lease that is trusted too long, orders not followed, outcomes that get lost."""

from tests.properties.mutants.mutant import Mutant

LEASE, WORKER, COMPLETER, STAGE, PROCESS = (
    f"workers/{name}.py" for name in ("lease", "worker", "completer", "stage", "process")
)
LEASES = (
    Mutant(
        "lease_counts_from_the_answer",
        "a lease is believed to begin when the beat was answered",
        LEASE,
        {"        self._renewed_at = began\n": "        self._renewed_at = time.monotonic()\n"},
        ("test_a_lease_counts_from_before_the_beat_that_renewed_it",),
    ),
    Mutant(
        "lease_never_in_doubt",
        "a worker without Postgres goes on",
        LEASE,
        {"        if share > WARN_SHARE:\n": "        if False:\n"},
        ("test_a_lease_that_was_not_renewed_in_time_is_in_doubt",),
    ),
    Mutant(
        "silent_loop_tolerated",
        "a worker whose event loop is blocked lives on",
        LEASE,
        {"        if self._silent_steps > SILENT_SHARE * STEPS:\n": "        if False:\n"},
        ("test_an_event_loop_that_is_silent_for_half_a_lease_ends_the_process",),
    ),
    Mutant(
        "loop_never_heard",
        "an event loop counts as silent although it answers",
        LEASE,
        {"        self._silent_steps = 0\n\n    def _tell": "        pass\n\n    def _tell"},
        ("test_one_that_answers_in_between_does_not",),
    ),
    Mutant(
        "doubt_ends_nothing",
        "what runs when the lease can be taken is only asked to leave",
        WORKER,
        {"Stop.FENCED if share > KILL_SHARE else Stop.DRAIN": "Stop.DRAIN"},
        ("test_shortly_before_its_lease_can_be_taken_it_ends_what_runs",),
    ),
    Mutant(
        "doubt_takes_more",
        "a worker whose lease is in doubt goes on taking jobs",
        WORKER,
        {"self.leased.clear()\n        self.room.stop_all(Stop.FENCED if": "self.room.stop_all(Stop.FENCED if"},
        ("test_in_doubt_it_takes_nothing_more_and_asks_what_runs_to_leave",),
    ),
    Mutant(
        "starts_in_doubt",
        "a claim that is answered when the lease is in doubt is started all the same",
        WORKER,
        {"may_start = self.leased.is_set() and": "may_start ="},
        ("test_a_claim_that_is_answered_while_the_lease_is_in_doubt_is_not_started",),
    ),
    Mutant(
        "lost_lease_goes_on",
        "a worker whose lease was taken lets its stages run",
        WORKER,
        {"self.room.stop_all(Stop.FENCED)\n        self.clockwork": "self.clockwork"},
        ("test_a_lost_lease_ends_everything_and_the_worker_with_it",),
    ),
)
ORDERS = (
    Mutant(
        "cancels_not_followed",
        "a worker hears of a cancel and does nothing",
        WORKER,
        {"((Stop.CANCEL, beat.cancelled), (Stop.FENCED, beat.fenced))": "((Stop.FENCED, beat.fenced),)"},
        ("test_what_was_cancelled_and_what_is_no_longer_its_own_is_stopped",),
    ),
    Mutant(
        "fences_not_followed",
        "a worker hears that a stage is no longer its own and goes on",
        WORKER,
        {"((Stop.CANCEL, beat.cancelled), (Stop.FENCED, beat.fenced))": "((Stop.CANCEL, beat.cancelled),)"},
        ("test_what_was_cancelled_and_what_is_no_longer_its_own_is_stopped",),
    ),
    Mutant(
        "hands_back_while_asking",
        "a worker hands back an attempt whose claim it is still repeating",
        WORKER,
        {" and stranger.lease_token not in self.asking": ""},
        ("test_an_attempt_whose_claim_is_still_being_repeated_is_not_handed_back",),
    ),
    Mutant(
        "asked_but_not_killed",
        "a process that ignores the request to stop runs on",
        PROCESS,
        {"    if not ended.done():\n        process.kill()\n": ""},
        ("test_a_process_is_asked_and_after_the_grace_killed_but_killed_at_once_when_fenced",),
    ),
    Mutant(
        "drain_costs_a_retry",
        "a stage pays for the drain of its worker",
        STAGE,
        {"error=error, retry_delay_s=0, costs_retry=False)": "error=error, retry_delay_s=0)"},
        ("test_an_attempt_that_was_stopped_costs_what_its_stop_deserves",),
    ),
    Mutant(
        "killed_without_asking",
        "a process is killed before it could leave a checkpoint",
        PROCESS,
        {"        if reason is Stop.FENCED:\n": "        if True:\n"},
        ("test_a_process_is_asked_and_after_the_grace_killed_but_killed_at_once_when_fenced",),
    ),
    Mutant(
        "cancel_throws_results_away",
        "what completed while its worker wanted it to stop has not completed",
        STAGE,
        {"if ending.outcome is Outcome.COMPLETED:": "if ending.outcome is Outcome.COMPLETED and reason is None:"},
        ("test_what_completed_has_completed_whoever_wanted_it_to_stop",),
    ),
    Mutant(
        "timeouts_left_to_others",
        "a worker does not end its attempts at their timeout",
        PROCESS,
        {"time_limit_s):\n        attempt.stop(Stop.TIMEOUT)\n": "time_limit_s):\n        await attempt.stopped()\n"},
        ("test_a_stage_is_ended_at_its_timeout",),
    ),
)
OUTCOMES = (
    Mutant(
        "outage_forgets_outcomes",
        "an outcome that Postgres did not answer for is not said again",
        COMPLETER,
        {"            self._waiting = batch + self._waiting\n": ""},
        ("test_an_outcome_whose_reply_was_lost_is_said_again",),
    ),
    Mutant(
        "locked_outcomes_forgotten",
        "an outcome that was left out is not said again",
        COMPLETER,
        {"    self._waiting.append(completion)\n            else:": "    pass\n            if True:"},
        ("test_what_was_left_out_because_it_was_locked_is_said_again",),
    ),
    Mutant(
        "let_go_in_an_outage",
        "an attempt is let go before its outcome is committed",
        COMPLETER,
        {
            "            self._waiting = batch + self._waiting\n": (
                "            self._waiting = batch + self._waiting\n            self.room.attempts.clear()\n"
            )
        },
        ("test_an_outcome_whose_reply_was_lost_is_said_again",),
    ),
    Mutant(
        "bug_costs_the_batch",
        "a bug that strikes one outcome is suffered by its whole batch",
        COMPLETER,
        {"            if len(batch) > 1:\n": "            if False:\n"},
        ("test_a_bug_that_strikes_one_outcome_costs_no_other",),
    ),
    Mutant(
        "marker_swallowed",
        "a worker that is full keeps the marker that was to wake another",
        WORKER,
        {"if woken:  # by a marker": "if False:  # by a marker"},
        ("test_a_full_worker_passes_on_what_has_woken_it",),
    ),
    Mutant(
        "hints_hold_up",
        "a worker stops where Redis is away",
        "workers/publish.py",
        {"    except REDIS_AWAY as error:  # TimeoutError included\n": "    except ZeroDivisionError as error:\n"},
        ("test_hints_that_do_not_reach_redis_hold_up_nobody",),
    ),
)
DESCRIPTORS = (
    Mutant(
        "closed_twice",
        "uvloop and the file both close a descriptor, which may be another thread's by then",
        "workers/executors/local.py",
        {"buffering=0, closefd=False)": "buffering=0)"},
        ("test_nobody_closes_a_descriptor_that_is_another_threads_by_now",),
    ),
)
ALL = LEASES + ORDERS + OUTCOMES + DESCRIPTORS
