"""Defects of the pure rules: the retry budget, the quarantine, the grammar."""

from tests.properties.mutants.mutant import Mutant

RETRY, GRAMMAR = "app/core/retry.py", "app/core/transitions.py"
ALL = (
    Mutant(
        "one_retry_less",
        "the budget is one retry too small",
        RETRY,
        {"failures > policy.max_retries": "failures >= policy.max_retries"},
        ("tests/core/test_retry.py",),
    ),
    Mutant(
        "one_retry_more",
        "the budget is one retry too large",
        RETRY,
        {"failures > policy.max_retries": "failures > policy.max_retries + 1"},
        ("tests/core/test_retry.py",),
    ),
    Mutant(
        "hopeless_is_retried",
        "an error that no retry heals is tried again",
        RETRY,
        {"if not retryable or failures": "if failures"},
        ("tests/core/test_retry.py",),
    ),
    Mutant(
        "no_backoff",
        "every delay is as long as the first",
        RETRY,
        {" * policy.retry_backoff ** (failures - 1)": ""},
        ("tests/core/test_retry.py",),
    ),
    Mutant(
        "delays_without_end",
        "a delay may grow beyond the longest",
        RETRY,
        {"(failures - 1), longest_s)": "(failures - 1), longest_s * 1e9)"},
        ("tests/core/test_retry.py",),
    ),
    Mutant(
        "jitter_shortens",
        "a retry may come before its delay is over",
        RETRY,
        {"(1 + JITTER * jitter)": "(1 - JITTER * jitter)"},
        ("tests/core/test_retry.py",),
    ),
    Mutant(
        "quarantine_too_late",
        "a stage may kill one worker more",
        RETRY,
        {"losses >= LOSSES_MAX": "losses > LOSSES_MAX"},
        ("tests/core/test_retry.py",),
    ),
    Mutant(
        "table_claims_while_paused",
        "the grammar lets a stage of a paused pipeline start",
        GRAMMAR,
        {"StageEvent.CLAIM: frozenset({_P.RUNNING}),": "StageEvent.CLAIM: _GOING_ON,"},
        ("tests/core/test_transitions.py",),
    ),
    Mutant(
        "table_retries_completed",
        "the grammar lets a completed stage run again",
        GRAMMAR,
        {"StageEvent.RETRY: {": "StageEvent.RETRY: {_S.COMPLETED: _S.PENDING, "},
        ("tests/core/test_transitions.py",),
    ),
    Mutant(
        "table_settles_early",
        "the grammar ends a pipeline while a stage of it is open",
        GRAMMAR,
        {"if not present <= STAGE_TERMINAL or": "if not present & STAGE_TERMINAL or"},
        ("tests/core/test_transitions.py",),
    ),
)
