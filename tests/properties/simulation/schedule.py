"""What a seed draws: a pipeline, a fleet, the rates of all misfortunes, and a plan of who does what when.

The rates are drawn anew for each seed, most of them zero (swarm testing): trouble of one kind in plenty finds more than
a little of every kind at once.
"""

import random
from dataclasses import dataclass
from typing import NamedTuple

from schemas.states import TriggerRule
from tests.properties.simulation.model.leases import LEASE_S
from tests.properties.simulation.model.records import StagePlan

STAGES_MAX = 7
EDGE = 0.4
OFTEN = (0.0, 0.0, 0.02, 0.2)
STEP = (0.0, 0.0, 0.002, 0.02)  # rolled at every step of a process
RATES: dict[str, tuple[float, ...]] = {
    # processes, between any two steps
    "crash_worker": STEP,
    "crash_scheduler": (0.0, 0.0, 0.005, 0.05),
    "crash_api": (0.0, 0.0, 0.05, 0.3),
    "slow": (0.0, 0.0, 0.01, 0.06),
    # calls of Postgres
    "refused": OFTEN,
    "lost_reply": OFTEN,
    "slow_reply": (0.0, 0.0, 0.0, 0.15),
    "locked": OFTEN,
    # Redis
    "lost_job": OFTEN,
    "doubled_job": OFTEN,
    "shuffled": (0.0, 0.5),
    "lost_wake": OFTEN,
    "lost_hint": OFTEN,
    "doubled_hint": OFTEN,
    # stage code
    "fails": (0.0, 0.1, 0.4),
    "hopeless": (0.0, 0.0, 0.05),
    "hangs": (0.0, 0.0, 0.1),
    "ignores_sigterm": (0.0, 0.5),
    "rescuer_dawdles": (0.0, 0.0, 0.5),  # between its question and its answer
    # workers that misbehave
    "task_unknown": (0.0, 0.0, 0.0, 0.1),
    "forgets_claim": (0.0, 0.0, 0.0, 0.05),
    "deaf_attempt": (0.0, 0.0, 0.0, 0.03),
}
CLIENT_ACTS = (
    "cancel",
    "retry",
    "pause",
    "resume",
    "cancel_stage",
    "retry_stage",
    "purge",
    "pause_queue",
    "resume_queue",
)
RULES = (*[TriggerRule.ALL_COMPLETED] * 4, TriggerRule.ALL_DONE, TriggerRule.ANY_FAILED)
FATES = {  # and how long it lasts at most
    "flushall": 0.0,
    "redis_away": 15.0,
    "outage": 50.0,
    "cut_off": 50.0,
    "suspend_worker": 70.0,
    "suspend_scheduler": 30.0,
    "drain": 0.0,
}


class Act(NamedTuple):
    """Something that a client or fate does at a certain time; ``length`` is how long it lasts."""

    at: float
    what: str
    length: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One schedule before it runs. What the dice decide on the way is drawn from ``seed``."""

    seed: int
    stages: tuple[StagePlan, ...]
    poisonous: tuple[int, ...]  # stages that kill the worker that runs them
    slots: tuple[int, ...]  # of each worker
    clocks: tuple[float, ...]  # by how much each scheduler's clock is wrong, in seconds
    rates: dict[str, float]
    acts: tuple[Act, ...]
    quiet_at: float
    starts_at_once: bool

    @property
    def deadline(self) -> float:
        """When everything must have ended: every attempt still possible, one after the other, and some sweeps."""
        work = sum((s.max_retries + 2) * (s.timeout_s + 4 * s.retry_delay_s + 15) for s in self.stages)
        return self.quiet_at + 8 * LEASE_S + work + 3 * 2 * LEASE_S * len(self.poisonous)


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    dice = random.Random(f"scenario {seed}")
    stages = _stages(dice)
    quiet_at = dice.uniform(15, 90)
    return Scenario(
        seed=seed,
        stages=stages,
        poisonous=(dice.randrange(len(stages)),) if dice.random() < 0.04 else (),
        slots=tuple(dice.choice((1, 1, 2, 4)) for _ in range(dice.choice((1, 2, 2, 3)))),
        clocks=tuple(dice.uniform(-3600, 3600) for _ in range(dice.choice((1, 1, 2)))),
        rates={fault: dice.choice(choices) for fault, choices in RATES.items()},
        acts=tuple(sorted(_acts(dice, quiet_at))),
        quiet_at=quiet_at,
        starts_at_once=dice.random() < 0.5,
    )


def _stages(dice: random.Random) -> tuple[StagePlan, ...]:
    return tuple(
        sound(
            StagePlan(
                dependencies=tuple(awaited for awaited in range(position) if dice.random() < EDGE),
                max_retries=dice.choice((0, 0, 1, 2)),
                retry_delay_s=dice.choice((0.0, 1.0, 8.0)),
                retry_backoff=dice.choice((1.0, 1.0, 2.0)),
                retry_delay_max_s=dice.choice((3600.0, 10.0)),
                timeout_s=dice.choice((10.0, 10.0, 30.0, 300.0)),
                queue_timeout_s=dice.choice((None, None, None, None, 20.0)),
                total_timeout_s=dice.choice((None, None, None, None, 60.0)),
                trigger_rule=dice.choice(RULES),
                allow_failure=dice.random() < 0.15,
            )
        )
        for position in range(dice.randint(1, STAGES_MAX))
    )


def sound(stage: StagePlan) -> StagePlan:
    """As the API takes it: a stage that waits for nothing has no use for a rule."""
    return stage if stage.dependencies else stage._replace(trigger_rule=TriggerRule.ALL_COMPLETED)


def _acts(dice: random.Random, quiet_at: float) -> list[Act]:
    acts = [
        Act(dice.random() ** 2 * min(quiet_at, 40), dice.choice(CLIENT_ACTS))
        for _ in range(dice.choice((0, 0, 1, 2, 4, 6)))
    ]
    for _ in range(dice.choice((0, 0, 1, 1, 2, 4))):
        at, (what, longest) = dice.random() ** 2 * min(quiet_at, 40), dice.choice(tuple(FATES.items()))
        acts.append(Act(at, what, min(dice.uniform(0.3, 1.0) * longest, quiet_at - at)))
    return acts
