"""The rules, one line each, and the end of a schedule that broke one. docs/guarantees.md says who keeps them."""

RULES = {
    "grammar": "no state follows another but by the tables; terminal states change by an explicit retry only",
    "liveness": "once faults stop, the pipeline ends within a bound",
    "released_iff_ready": "a stage is queued only when its trigger rule is met",
    "released_once": "a stage is released once, and once more for each explicit retry",
    "skip_rule": "a stage is skipped if its trigger rule cannot be met any more, and only then",
    "settle_rule": "a pipeline ends when all stages have ended, as failed if one went wrong that was not allowed to",
    "one_holder": "no attempt begins before the one before it is closed; a running stage has one holder",
    "attempts_counted": "attempts are numbered 1, 2, 3 … and never again from 1",
    "one_outcome": "an attempt has one outcome, its first",
    "fence": "only the newest attempt, under its own lease token, ends its stage",
    "same_answer": "a call repeated with the same token gets the same answer",
    "work_is_kept": "an attempt that completed completes its stage, whatever was asked meanwhile",
    "one_start_a_job": "an old or doubled job starts nothing",
    "dispatch_counted": "the dispatch token counts how often the stage was queued",
    "lease_to_claim": "no worker begins an attempt without a lease that holds",
    "budget": "errors of its own are retried max_retries times, no more and no less; drains and losses cost nothing",
    "loss_costs_nothing": "the stage of a lost worker is rescued, not charged as timed out",
    "quarantine": "three losses in a row fail a stage; fewer do not",
    "delay_kept": "no retry before its delay is over",
    "timeout_kept": "a worker that lives ends its attempts at their timeout",
    "nothing_after_cancel": "after a cancel nothing is released, queued or started",
    "cancel_in_time": "a cancelled pipeline ends soon, however long its stages may run",
    "pause_holds": "nothing starts in a paused pipeline, and nothing is given up for waiting",
    "queue_pause_holds": "nothing starts from a paused queue",
    "cancel_is_final": "a stage that was cancelled singly gets no other attempt",
    "waited_long_enough": "a stage is given up for waiting when it has waited for as long as it may, and not before",
    "retry_rule": "a retry is accepted if all has ended and something went wrong, and repeats just what it must",
    "events_gapless": "events are numbered 1, 2, 3 … in the order of commits",
    "events_tell_all": "replaying the events gives the status of the pipeline and of every stage",
    "counters": "open, broken, unmet, propagated and seq agree with a recount",
    "stops_in_time": "a worker that cannot renew stops its processes before its lease can be taken",
    "one_process": "no two processes of a stage at once, unless a worker was suspended or far behind",
    "outage_condemns_nobody": "an outage of Postgres costs no worker its lease",
}


class Violation(AssertionError):
    """The rule that was broken, and what broke it."""

    def __init__(self, rule: str, what: str) -> None:
        assert rule in RULES
        super().__init__(f"{rule}: {what}")
        self.rule = rule
