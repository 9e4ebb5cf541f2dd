"""Defects of the follow-up: what is released and claimed in the transaction of an outcome, and what becomes of it."""

from tests.properties.mutants.mutant import COMPLETION, Mutant

AT_ONCE = "migrations/0009_at_once.sql"
COMPLETER, WORKER, SLOTS = (f"workers/{name}.py" for name in ("completer", "worker", "slots"))
LOCKS = "    locked := lock_pipelines(pipelines, false);\n"
CLOCK = "    moment := clock_timestamp();\n"
LEASE = "IF EXISTS (SELECT FROM workers WHERE id = worker AND state = 'live' AND lease_expires_at > moment) THEN"
TO_DISPATCH = "CASE WHEN cardinality(started) = cardinality(queued) THEN '[]' ELSE to_dispatch(queued, moment) END"
RELEASES = (
    Mutant(
        "told_by_nobody",
        "a worker that follows up marks its stages as told, and tells nobody",
        AT_ONCE,
        {"IF is_little AND done.ended IS NOT NULL THEN": "IF false THEN"},
        ("test_what_waited_for_it_is_queued_at_once",),
    ),
    Mutant(
        "told_twice",
        "what was followed up is left to the releaser too",
        AT_ONCE,
        {
            "end_attempts(completions, wanted, locked, moment, is_little)": (
                "end_attempts(completions, wanted, locked, moment, false)"
            )
        },
        ("test_what_was_told_is_not_told_again_by_a_release",),
    ),
    Mutant(
        "failure_releases_at_once",
        "what waits for a failed stage is released by its worker",
        COMPLETION,
        {"is_well(status, allow_failure))::ended_stage": "true)::ended_stage"},
        ("test_what_is_skipped_is_told_and_what_waits_for_it_left_to_the_schedulers",),
    ),
    Mutant(
        "retry_counts_as_an_end",
        "what waits for a stage that will be tried again is told that it has ended",
        COMPLETION,
        {" FILTER (WHERE status <> 'retrying')\n": "\n"},
        ("test_what_is_to_be_retried_tells_nobody",),
    ),
    Mutant(
        "many_pipelines_in_the_worker",
        "a worker releases in many pipelines by itself, and holds the locks of all of them",
        AT_ONCE,
        {"<= pipelines_max": "<= 1000"},
        ("test_outcomes_of_many_pipelines_are_left_to_the_schedulers",),
    ),
    Mutant(
        "wide_fan_in_the_worker",
        "a worker releases a wide fan by itself, while its outcomes wait",
        AT_ONCE,
        {"<= dependents_max": "<= 1000"},
        ("test_a_wide_fan_is_left_to_the_schedulers",),
    ),
    Mutant(
        "follow_up_does_not_settle",
        "the last outcome leaves its pipeline to the sweep",
        AT_ONCE,
        {"PERFORM settle_pipelines(ARRAY(SELECT e.pipeline_id FROM unnest(done.ended) AS e), moment);": "NULL;"},
        ("test_the_last_outcome_ends_its_pipeline",),
    ),
    Mutant(
        "settles_and_does_not_say_so",
        "an outcome that is refused ends its pipeline, and nobody hears of it",
        AT_ONCE,
        {
            "IF is_little AND done.ended IS NOT NULL AND (queued": "IF is_little AND (queued",
            "ARRAY(SELECT e.pipeline_id FROM unnest(done.ended) AS e)": "locked",
        },
        ("test_an_outcome_that_comes_again_ends_nothing",),
    ),
    Mutant(
        "one_goes_on_and_nobody_ends",
        "where one pipeline goes on the end of another is left to the sweep",
        AT_ONCE,
        {" AND (queued IS NULL OR cardinality(locked) > 1) THEN": " AND queued IS NULL THEN"},
        ("test_of_two_pipelines_one_goes_on_and_the_other_ends",),
    ),
    Mutant(
        "follow_up_waits",
        "a completion waits for whoever has one of its pipelines, and holds up the other",
        AT_ONCE,
        {"lock_pipelines(pipelines, false)": "lock_pipelines(pipelines, true)"},
        ("test_nobody_who_has_one_of_two_pipelines_is_waited_for",),
    ),
    Mutant(
        "queued_at_once_without_an_event",
        "what a worker has released has no event of that",
        AT_ONCE,
        {" || queued_news(queued) ||": " ||"},
        ("test_what_begins_at_once_has_the_same_events_as_any_other",),
    ),
    Mutant(
        "begun_at_once_without_an_event",
        "what a worker has begun at once has no event of that",
        AT_ONCE,
        {" || skips || started, moment)": " || skips, moment)"},
        ("test_what_begins_at_once_has_the_same_events_as_any_other",),
    ),
    Mutant(
        "skipped_at_once_without_an_event",
        "what an outcome skips has no event of that",
        AT_ONCE,
        {" || skips || started, moment)": " || started, moment)"},
        ("test_what_is_skipped_is_told_and_what_waits_for_it_left_to_the_schedulers",),
    ),
    Mutant(
        "left_and_not_told",
        "a worker leaves a release to the schedulers and does not tell them",
        AT_ONCE,
        {"NOT is_little OR skips": "skips"},
        (
            "test_outcomes_of_many_pipelines_are_left_to_the_schedulers",
            "test_a_wide_fan_is_left_to_the_schedulers",
        ),
    ),
    Mutant(
        "skips_left_and_not_told",
        "a worker leaves what waits for the skipped to the schedulers and does not tell them",
        AT_ONCE,
        {" OR skips IS NOT NULL": ""},
        ("test_what_is_skipped_is_told_and_what_waits_for_it_left_to_the_schedulers",),
    ),
    Mutant(
        "due_retries_not_told",
        "a stage that is to be tried again at once waits for a sweep",
        AT_ONCE,
        {" OR cardinality(done.ended) IS DISTINCT FROM cardinality(done.news)": ""},
        ("test_a_stage_that_goes_on_elsewhere_is_left_to_the_schedulers_at_once",),
    ),
)
CLAIMS = (
    Mutant(
        "at_once_without_a_lease",
        "a worker begins at once whether or not its lease holds",
        AT_ONCE,
        {LEASE: "IF true THEN"},
        ("test_nothing_is_begun_without_a_lease",),
    ),
    Mutant(
        "at_once_with_a_lease_that_ran_out",
        "a worker whose lease has run out begins at once, as long as nobody has noticed",
        AT_ONCE,
        {LEASE: LEASE.replace(" AND lease_expires_at > moment", "")},
        ("test_nothing_is_begun_without_a_lease",),
    ),
    Mutant(
        "at_once_by_who_leaves",
        "a worker that drains or is lost begins at once, as long as its time is not over",
        AT_ONCE,
        {LEASE: LEASE.replace(" AND state = 'live'", "")},
        ("test_nothing_is_begun_without_a_lease",),
    ),
    Mutant(
        "at_once_by_an_early_clock",
        "a completion compares the lease with the time before it had the lock",
        AT_ONCE,
        {f"{LOCKS}{CLOCK}": f"{CLOCK}{LOCKS}"},
        ("test_a_lease_that_ran_out_while_it_waited_begins_nothing",),
    ),
    Mutant(
        "of_other_queues",
        "a completion gives a worker what is on a queue that it does not serve",
        AT_ONCE,
        {"q.queue = ANY (queues) AND ": ""},
        ("test_stages_of_other_queues_are_left_to_their_workers",),
    ),
    Mutant(
        "of_other_tasks",
        "a completion gives a worker a task that it does not know",
        AT_ONCE,
        {" AND q.task = ANY (tasks)": ""},
        ("test_nothing_is_begun_that_the_worker_does_not_serve",),
    ),
    Mutant(
        "more_than_slots",
        "a completion gives a worker more than it has slots for",
        AT_ONCE,
        {"n <= CASE slot WHEN 'inline' THEN free_inline ELSE free_process END": "free_inline > 0"},
        ("test_no_more_begin_than_slots_are_free",),
    ),
    Mutant(
        "slots_of_the_other_kind",
        "a completion fills the slots of one kind with stages of the other",
        AT_ONCE,
        {
            "'inline' THEN free_inline ELSE free_process END": "'inline' THEN free_process ELSE free_inline END",
        },
        ("test_of_each_kind_as_many_are_begun_as_slots_are_free",),
    ),
    Mutant(
        "slots_in_one_row",
        "stages of one kind use up the free slots of the other",
        AT_ONCE,
        {"(PARTITION BY q.slot ORDER BY q.place)": "(ORDER BY q.place)"},
        ("test_of_each_kind_as_many_are_begun_as_slots_are_free",),
    ),
    Mutant(
        "some_begun_and_the_rest_not_queued",
        "where a worker begins with some, the others are not put on their queue",
        AT_ONCE,
        {TO_DISPATCH: TO_DISPATCH.replace("cardinality(started) = cardinality(queued)", "started IS NOT NULL")},
        ("test_no_more_begin_than_slots_are_free",),
    ),
    Mutant(
        "all_begun_and_to_be_queued",
        "where a worker begins with all, they are to be put on their queue as well",
        AT_ONCE,
        {TO_DISPATCH: "to_dispatch(queued, moment)"},
        ("test_what_waited_for_it_is_begun",),
    ),
    Mutant(
        "begun_without_a_word",
        "a worker is not told what it has begun",
        AT_ONCE,
        {"CASE WHEN started IS NULL THEN '[]' ELSE granted(claimed, lease_tokens, locked) END": "'[]'::json"},
        ("test_a_chain_runs_to_its_end_though_nothing_is_taken_from_a_queue",),
    ),
)
OFFERS = (
    Mutant(
        "overtakes_what_waits",
        "a worker whose queues are not empty begins what it has released before them",
        SLOTS,
        {" if self.is_idle else 0": ""},
        ("test_a_worker_that_has_no_idle_slot_leaves_it_to_the_queue",),
    ),
    Mutant(
        "offers_all_that_is_idle",
        "all idle slots are kept from what comes to the queues meanwhile",
        SLOTS,
        {"(self.free + 1) // 2": "self.free"},
        ("test_slots_are_promised_while_it_is_not_known_what_begins",),
    ),
    Mutant(
        "begins_in_doubt",
        "a worker in doubt of its lease, or one that drains, claims what it has released",
        WORKER,
        {"may = self.leased.is_set() and not self.draining.is_set()": "may = True"},
        ("test_a_worker_that_has_no_idle_slot_leaves_it_to_the_queue",),
    ),
    Mutant(
        "begins_while_it_finishes",
        "what was claimed at once is started although the worker does not wait for it any more",
        WORKER,
        {"            if self.finishing:\n": "            if False:\n"},
        ("test_an_answer_that_comes_when_it_finishes_goes_on_elsewhere",),
    ),
    Mutant(
        "drain_burns_a_claim",
        "a worker that drains hands back what was just being claimed for it",
        WORKER,
        {"await asyncio.wait_for(self.no_offer.wait(), OFFER_S)": "pass"},
        ("test_a_worker_that_drains_runs_what_was_being_claimed_for_it",),
    ),
    Mutant(
        "slots_not_promised",
        "slots that are offered to a completion are given to the queue too",
        SLOTS,
        {"        self.promised += count\n": "        self.promised += 0\n"},
        ("test_slots_are_promised_while_it_is_not_known_what_begins",),
    ),
    Mutant(
        "popped_and_offered",
        "slots for what was popped are offered to a completion while it is being claimed",
        WORKER,
        {"with self.slots[slot].promise(len(jobs)):": "with self.slots[slot].promise(0):"},
        ("test_slots_for_what_is_being_claimed_are_not_offered",),
    ),
)
COMPLETIONS = (
    Mutant(
        "follow_up_fails_the_outcomes",
        "a bug in the follow-up takes the outcomes along",
        COMPLETER,
        {"except Exception:  # a bug; outcomes": "except AttributeError:  # a bug; outcomes"},
        ("test_a_bug_in_the_follow_up_costs_no_outcome_and_is_not_met_again",),
    ),
    Mutant(
        "offers_after_a_bug",
        "a worker goes on offering slots after it may have claimed unheard",
        COMPLETER,
        {"            self.room.offering = nothing\n": ""},
        ("test_a_bug_in_the_follow_up_costs_no_outcome_and_is_not_met_again",),
    ),
    Mutant(
        "bad_result_is_a_bug_of_the_follow_up",
        "a worker offers nothing any more after a result that cannot be stored",
        "app/services/stages.py",
        {
            "    except BAD_DATA:\n        answer = await complete(": (
                "    except ZeroDivisionError:\n        answer = await complete("
            )
        },
        ("test_what_cannot_be_stored_costs_its_own_stage_only",),
    ),
    Mutant(
        "completer_does_not_come_back",
        "what was locked for longer than a moment is left for another transaction",
        COMPLETER,
        {
            "return await stages.complete_locked(self.room.pool, batch, replace(answer, queued=left))": (
                "return replace(answer, queued=left)"
            )
        },
        ("test_what_is_locked_for_longer_than_a_moment_is_waited_for",),
    ),
    Mutant(
        "released_and_not_queued",
        "what a worker has released is not put on its queue",
        COMPLETER,
        {"replace(answer, queued=left)": "replace(answer, queued=[])"},
        ("test_what_waited_for_it_is_queued_at_once",),
    ),
    Mutant(
        "begun_and_queued",
        "what a worker has begun is put on its queue as well, with what it has no slots for",
        COMPLETER,
        {" if stage.stage not in begun]": "]"},
        ("test_no_more_begin_than_slots_are_free",),
    ),
    Mutant(
        "completions_not_told",
        "a worker does not tell schedulers of completions",
        COMPLETER,
        {"        self._publishing = asyncio.create_task(self._tell(answer))\n": ""},
        ("test_outcomes_are_committed_together_let_go_and_told",),
    ),
    Mutant(
        "goes_before_it_has_told",
        "a worker that leaves does not wait until its last outcomes are told",
        COMPLETER,
        {
            "        if self._publishing is not None:\n            await self._publishing\n\n    async def _flush": (
                "\n    async def _flush"
            )
        },
        ("test_what_is_told_is_told_in_order_and_before_the_worker_goes",),
    ),
    Mutant(
        "tells_all_at_once",
        "outcomes are told before those that were committed before them",
        COMPLETER,
        {"only what is to be said of them\n            await self._publishing\n": "\n            pass\n"},
        ("test_what_is_told_is_told_in_order_and_before_the_worker_goes",),
    ),
    Mutant(
        "outcomes_wait_for_redis",
        "no outcome is committed before the last ones are told",
        COMPLETER,
        {
            "asyncio.create_task(self._tell(answer))\n": (
                "asyncio.create_task(self._tell(answer))\n        await self._publishing\n"
            )
        },
        ("test_outcomes_are_committed_while_the_last_ones_are_told",),
    ),
    Mutant(
        "telling_fails_the_outcomes",
        "a bug in telling one outcome is met by all that come after it",
        COMPLETER,
        {"        except Exception:  # a bug; the next": "        except AttributeError:  # a bug; the next"},
        ("test_a_bug_in_telling_costs_no_outcome_and_is_not_met_again",),
    ),
)
ALL = RELEASES + CLAIMS + OFFERS + COMPLETIONS
