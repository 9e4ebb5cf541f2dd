"""Defects that cost time only: more for each stage of a batch, the larger it is."""

from tests.properties.mutants.mutant import COMPLETION, PROTOCOL, Mutant

LINEAR = (
    Mutant(
        "pauses_looked_up_for_each_stage",
        "which queues are paused is asked anew for each stage that is dispatched",
        PROTOCOL,
        {
            "         WHERE q.queue <> ALL ((SELECT paused_queues())::text[])) AS d\n": (
                "         WHERE q.queue <> ALL (paused_queues())) AS d\n"
            )
        },
        ("test_a_large_batch_takes_as_many_statements_as_a_small_one",),
    ),
    Mutant(
        "patience_computed_by_a_statement",
        "when a stage has waited long enough is computed by a statement of its own for each",
        PROTOCOL,
        {
            "RETURNS timestamptz LANGUAGE sql STABLE AS $$\n-- When a stage that is queued now": (
                "RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$\n-- When a stage that is queued now"
            )
        },
        ("test_a_large_batch_takes_as_many_statements_as_a_small_one",),
    ),
    Mutant(
        "pipeline_looked_up_for_each_stage",
        "Postgres looks at each change of a stage whether its pipeline is there",
        PROTOCOL,
        {"    pipeline_id     bigint NOT NULL,    ": "    pipeline_id     bigint NOT NULL REFERENCES pipelines (id),"},
        ("test_a_large_batch_takes_as_many_statements_as_a_small_one",),
    ),
    Mutant(
        "ended_by_a_search_for_the_batch",
        "each stage that ends is searched for among all stages of its batch",
        COMPLETION,
        {
            "WHERE s.pipeline_id = d.pipeline_id AND s.position = d.position AND s.status": (
                "WHERE s.uuid = d.stage AND s.uuid = ANY (wanted) AND s.status"
            )
        },
        ("test_an_index_is_not_searched_for_the_whole_batch_once_for_each_of_it",),
    ),
    Mutant(
        "expiry_looks_at_all_stages",
        "a release looks at every stage of its pipeline for those that have waited too long",
        PROTOCOL,
        {"ON stages (pipeline_id, give_up_at) WHERE give_up_at IS NOT NULL": "ON stages (pipeline_id) WHERE false"},
        ("test_hardly_a_row_is_looked_at_in_vain",),
    ),
)
ALL = LINEAR
