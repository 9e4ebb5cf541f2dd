"""One word per idea: what Postgres accepts is what ``schemas`` spells."""

import re
from enum import StrEnum

import pytest

from app.db.pool import Pool
from schemas.event import EventType
from schemas.periodic import SlotOutcome
from schemas.queue import Queue, Slot
from schemas.schedule import CatchUp, Overlap, SlotState
from schemas.states import (
    PIPELINE_TERMINAL,
    STAGE_TERMINAL,
    CheckpointState,
    Outcome,
    PipelineStatus,
    StageStatus,
    TriggerRule,
)
from schemas.worker import WorkerState

CHECKS = """
SELECT conrelid::regclass::text AS table, pg_get_constraintdef(oid) AS definition
FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0
UNION ALL
SELECT a.attrelid::regclass::text, replace(pg_get_constraintdef(d.oid), 'VALUE', a.attname)
FROM pg_constraint AS d JOIN pg_attribute AS a ON a.atttypid = d.contypid WHERE d.contype = 'c'"""
ONE_OF = re.compile(r"CHECK \(\(\(?(\w+)\)? = ANY \(ARRAY\[(.*)\]\)\)\)")
ENDED = re.compile(r"CHECK \(\(\(\(?status(?:\)::text)? = ANY \(ARRAY\[(.*)\]\)\) = \(finished_at IS NOT NULL\)\)\)")
WORD = re.compile(r"'([^']*)'")


@pytest.fixture
async def checks(pool: Pool):
    return [(row["table"], row["definition"]) for row in await pool.fetch(CHECKS)]


@pytest.mark.parametrize(
    ("table", "column", "words"),
    [
        ("pipelines", "status", PipelineStatus),
        ("stages", "status", StageStatus),
        ("stages", "queue", Queue),
        ("stages", "slot", Slot),
        ("stages", "trigger_rule", TriggerRule),
        ("attempts", "outcome", Outcome),
        ("checkpoints", "state", CheckpointState),
        ("events", "type", EventType),
        ("workers", "state", WorkerState),
        ("periodic_runs", "outcome", SlotOutcome),
        ("schedules", "overlap", Overlap),
        ("schedules", "catch_up", CatchUp),
        ("schedule_slots", "state", SlotState),
    ],
)
async def test_a_column_takes_exactly_the_words_of_its_enum(checks, table: str, column: str, words: type[StrEnum]):
    matches = [match for where, definition in checks if where == table and (match := ONE_OF.fullmatch(definition))]
    accepted = {match[1]: set(WORD.findall(match[2])) for match in matches}
    assert accepted[column] == set(words)


@pytest.mark.parametrize(("table", "words"), [("pipelines", PIPELINE_TERMINAL), ("stages", STAGE_TERMINAL)])
async def test_terminal_states_are_those_with_an_end_time(checks, table: str, words: frozenset[StrEnum]):
    found = [match[1] for where, definition in checks if where == table and (match := ENDED.fullmatch(definition))]
    assert [set(WORD.findall(states)) for states in found] == [words]
