"""Defects of the scheduler: its sweeps lose a branch, believe Redis, or are too quick to judge."""

from tests.properties.mutants.mutant import PROTOCOL, Mutant

STAGES = "app/db/queries/stages.sql"
LOOKS = (
    Mutant(
        "sweep_forgets_releases",
        "the sweep does not find stages whose dependents were not told",
        PROTOCOL,
        {"WHERE s.finished_at IS NOT NULL AND NOT s.propagated LIMIT batch)": "WHERE false LIMIT batch)"},
        ("test_the_sweep_finds_a_lost_release",),
    ),
    Mutant(
        "sweep_forgets_what_is_due",
        "the sweep does not find retries that are due, nor stages that have waited too long",
        PROTOCOL,
        {"        (SELECT due_pipelines(batch))\n": "        (SELECT NULL::bigint WHERE false)\n"},
        ("test_the_sweep_finds_a_retry_that_is_due",),
    ),
    Mutant(
        "sweep_forgets_settlements",
        "the sweep does not find pipelines whose stages have all ended",
        PROTOCOL,
        {"FROM pipelines AS p WHERE p.all_ended AND": "FROM pipelines AS p WHERE false AND"},
        ("test_the_sweep_finds_a_lost_settlement",),
    ),
    Mutant(
        "sweep_forgets_the_cancelled",
        "the sweep does not find cancelled pipelines whose stages have all ended",
        PROTOCOL,
        {"p.all_ended AND p.status IN ('running', 'paused', 'cancelling') ": "p.all_ended AND p.status = 'running' "},
        ("test_the_sweep_finds_the_lost_settlement_of_a_cancelled_or_a_paused_pipeline",),
    ),
    Mutant(
        "sweep_finds_the_ended",
        "the sweep finds pipelines that have settled long ago",
        PROTOCOL,
        {"p.all_ended AND p.status IN ('running', 'paused', 'cancelling') LIMIT": "p.all_ended LIMIT"},
        ("test_the_sweep_finds_nothing_where_there_is_nothing_to_do",),
    ),
    Mutant(
        "retrier_forgets_retries",
        "the retrier does not find retries that are due",
        PROTOCOL,
        {"WHERE s.status = 'retrying' AND s.retry_at <= clock_timestamp()": "WHERE false"},
        ("test_a_retry_that_is_due_is_queued_and_dispatched",),
    ),
    Mutant(
        "retrier_finds_retries_too_early",
        "the retrier finds retries that are not due",
        PROTOCOL,
        {"WHERE s.status = 'retrying' AND s.retry_at <= clock_timestamp()": "WHERE s.status = 'retrying'"},
        ("test_a_stage_waits_for_its_retry_until_it_is_due",),
    ),
    Mutant(
        "retrier_forgets_long_waits",
        "the retrier does not find stages that have waited too long",
        PROTOCOL,
        {"WHERE s.give_up_at <= clock_timestamp() AND": "WHERE false AND"},
        ("test_one_that_is_queued_for_too_long_fails_and_skips_its_dependents",),
    ),
    Mutant(
        "retrier_finds_waits_of_the_paused",
        "the retrier finds stages that have waited for a pause to end",
        PROTOCOL,
        {"AND p.status = 'running'\n      WHERE s.give_up_at": "\n      WHERE s.give_up_at"},
        ("test_while_its_pipeline_is_paused_the_clock_stands_still",),
    ),
    Mutant(
        "retrier_finds_waits_on_paused_queues",
        "the retrier finds stages that have waited for the pause of their queue to end",
        PROTOCOL,
        {
            "clock_timestamp() AND s.queue <> ALL ((SELECT paused_queues())::text[]) ORDER BY s.give_up_at": (
                "clock_timestamp() ORDER BY s.give_up_at"
            )
        },
        ("test_what_waits_is_not_given_up_for_the_time_of_the_pause",),
    ),
    Mutant(
        "sweep_reads_history",
        "the planner may read all stages there ever were to find those that are due",
        PROTOCOL,
        {"        'releasable_pipelines(integer)', 'due_pipelines(integer)']": "        'paused_queues()']"},
        ("test_a_statement_walks_along_indexes_however_long_the_history",),
    ),
    Mutant(
        "beats_read_history",
        "there is no index of what a worker runs",
        PROTOCOL,
        {"CREATE INDEX stages_running ON stages (worker_id) WHERE status = 'running';": ""},
        ("test_a_statement_walks_along_indexes_however_long_the_history",),
    ),
    Mutant(
        "dispatch_of_the_paused",
        "the dispatcher puts stages of paused pipelines on Redis",
        STAGES,
        {"AND p.status = 'running'\n         WHERE s.status = 'queued'": "\n         WHERE s.status = 'queued'"},
        ("test_only_what_is_queued_in_running_pipelines_is_dispatched",),
    ),
    Mutant(
        "dispatch_of_paused_queues",
        "the dispatcher puts stages of paused queues on Redis",
        STAGES,
        {"           AND s.queue <> ALL ((SELECT paused_queues())::text[])\n": ""},
        ("test_a_paused_queue_is_released_into_but_not_dispatched",),
    ),
    Mutant(
        "dispatch_of_the_young",
        "the dispatcher repeats what is just being dispatched",
        STAGES,
        {"s.queued_at < clock_timestamp() - $3::double precision * interval '1 second'": "$3 <> 0.1"},
        ("test_what_was_queued_just_now_is_left_to_whoever_queued_it",),
    ),
    Mutant(
        "dispatch_of_the_first_page",
        "the dispatcher sees the first page again and again",
        STAGES,
        {"(s.queued_at, s.uuid) > ($1::timestamptz, $2::uuid)": "($1::timestamptz, $2::uuid) IS NOT NULL"},
        ("test_it_walks_through_all_pages_and_begins_anew",),
    ),
)
RELEASER, RESCUER, DISPATCHER, COMPLETIONS = (
    f"app/scheduler/{duty}.py" for duty in ("releaser", "rescuer", "dispatcher", "completions")
)
DUTIES = (
    Mutant(
        "no_sweep",
        "the releaser looks for nothing by itself",
        RELEASER,
        {"        await self.release(behind)\n": ""},
        ("test_a_lost_hint_costs_one_sweep",),
    ),
    Mutant(
        "release_needs_redis",
        "a release stops where Redis is away",
        RELEASER,
        {"    except REDIS_AWAY as error:\n": "    except ZeroDivisionError as error:\n"},
        ("test_a_release_does_not_need_redis",),
    ),
    Mutant(
        "hints_not_heard",
        "the scheduler does not release where it is told to look",
        COMPLETIONS,
        {"        await self.releaser.release(pipelines)\n": ""},
        ("test_a_completion_releases_and_dispatches_what_waited_for_it",),
    ),
    Mutant(
        "hints_believed",
        "rubbish on the stream is taken for a pipeline",
        COMPLETIONS,
        {".isdigit() and len(number) < DIGITS}": "}"},
        ("test_rubbish_on_the_stream_does_no_harm_to_its_neighbours",),
    ),
    Mutant(
        "hints_kept",
        "what a scheduler has read is kept for it in Redis",
        COMPLETIONS,
        {", noack=True": ", noack=False"},
        ("test_what_it_has_read_is_not_kept_for_it",),
    ),
    Mutant(
        "group_not_made_anew",
        "after FLUSHALL a scheduler hears nothing any more",
        COMPLETIONS,
        {'if "NOGROUP" not in str(error):': 'if "NOGROUP" in str(error):'},
        ("test_after_flushall_it_joins_anew_and_catches_up",),
    ),
    Mutant(
        "joins_without_catching_up",
        "a scheduler that joins does not look for what was said before",
        COMPLETIONS,
        {"        return await self.releaser.run_once()\n": "        return 0\n"},
        ("test_a_scheduler_that_joins_catches_up_with_what_was_said_before",),
    ),
    Mutant(
        "flushall_not_noticed",
        "the dispatcher takes an empty Redis for the one that it knows",
        DISPATCHER,
        {"if await self.queue.is_complete():": "if await self.queue.is_complete() or True:"},
        ("test_after_flushall_everything_is_dispatched_again",),
    ),
    Mutant(
        "half_a_dispatch_is_complete",
        "after FLUSHALL the first page is taken for all",
        DISPATCHER,
        {"        while self._after != stages.FIRST:\n            added += await self._page(0)\n": ""},
        ("test_a_new_redis_gets_everything_that_is_queued_page_by_page",),
    ),
    Mutant(
        "stale_jobs_stay",
        "jobs of a worker that died between pop and claim do not return",
        DISPATCHER,
        {"        await self.queue.put_back_stale()\n": ""},
        ("test_jobs_of_a_worker_that_died_between_pop_and_claim_return",),
    ),
    Mutant(
        "rescuer_never_waits",
        "a rescuer that was away takes leases at once",
        RESCUER,
        {"self._trusts_leases_at = now + self.lease_timeout_s": "pass"},
        ("test_an_outage_of_postgres_condemns_nobody",),
    ),
    Mutant(
        "rescuer_trusts_from_the_start",
        "a rescuer that has just begun takes leases at once",
        RESCUER,
        {"_ticked_at is None:\n            return True\n": "_ticked_at is None:\n            return False\n"},
        ("test_one_that_begins_after_an_outage_takes_no_lease_before_everybody_has_had_the_time_to_renew",),
    ),
    Mutant(
        "rescuer_looks_at_its_clock_first",
        "a freeze of Postgres during the tick goes unnoticed",
        RESCUER,
        {
            "        overran = await stages.enforce_timeouts(self.releaser.pool, self.lease_timeout_s)\n"
            "        now = self._clock()  # only now: Postgres may have been frozen while it was asked\n": (
                "        now = self._clock()\n"
                "        overran = await stages.enforce_timeouts(self.releaser.pool, self.lease_timeout_s)\n"
            )
        },
        ("test_nor_does_a_freeze_of_postgres_in_the_middle_of_a_tick",),
    ),
    Mutant(
        "rescuer_forgets_timeouts",
        "the rescuer enforces no timeouts",
        RESCUER,
        {"overran = await stages.enforce_timeouts(self.releaser.pool, self.lease_timeout_s)": "overran = Completed()"},
        ("test_it_enforces_timeouts_too",),
    ),
    Mutant(
        "rescued_not_followed_up",
        "what was rescued is left to the sweep",
        RESCUER,
        {"            await self.releaser.release(hint.pipeline_id for hint in answer.hints)\n": ""},
        ("test_a_stage_of_a_dead_worker_is_on_its_queue_after_one_tick",),
    ),
    Mutant(
        "retrier_forgets",
        "the retrier looks and does nothing",
        "app/scheduler/retrier.py",
        {"        await self.releaser.release(due)\n": ""},
        ("test_a_retry_that_is_due_is_queued_and_dispatched",),
    ),
    Mutant(
        "duty_gives_up",
        "a duty ends at its first bug",
        "app/scheduler/loop.py",
        {"        except Exception:\n            pause_s": "        except ZeroDivisionError:\n            pause_s"},
        ("test_a_duty_goes_on_after_a_bug_which_is_told_with_its_traceback",),
    ),
)
ALL = LOOKS + DUTIES
