"""All mutants of the real code."""

from pathlib import PurePath

from tests.properties.mutants.defects import (
    at_once,
    batches,
    checkpoints,
    claims,
    clock,
    completions,
    failures,
    keys,
    leases,
    locks,
    places,
    redis,
    releases,
    rules,
    singly,
    sweeps,
    verbs,
    waits,
    workers,
)
from tests.properties.mutants.mutant import PROTOCOL, Mutant

PLANTED = (
    *locks.ALL,
    *claims.ALL,
    *completions.ALL,
    *releases.ALL,
    *at_once.ALL,
    *batches.ALL,
    *verbs.ALL,
    *singly.ALL,
    *waits.ALL,
    *leases.ALL,
    *places.ALL,
    *keys.ALL,
    *clock.ALL,
    *checkpoints.ALL,
    *failures.ALL,
    *sweeps.ALL,
    *redis.ALL,
    *rules.ALL,
    *workers.ALL,
)
NOTHING = Mutant(
    "nothing",
    "no defect: whatever notices this one, notices nothing by the others",
    PROTOCOL,
    {},
    tuple(dict.fromkeys(name for one in PLANTED for name in one.noticed_by)),
    masked_by="being healthy",
)
ALL = tuple(sorted((NOTHING, *PLANTED), key=lambda one: one.masked_by is None))
"""First those whose hunt takes long, because all of their tests have to pass."""
OF_SQL = tuple(one for one in PLANTED if PurePath(one.file).suffix == ".sql")


def named(name: str) -> Mutant:
    """The mutant of this name."""
    return next(one for one in ALL if one.name == name)
