"""Postgres as its callers see it: a call may not arrive, or arrive late; the answer of one that did may be lost."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from schemas.event import EventType
from schemas.states import StageStatus, TriggerRule
from tests.properties.simulation.model.leases import LEASE_S
from tests.properties.simulation.model.records import Pipeline
from tests.properties.simulation.witness.processes import check_taken
from tests.properties.simulation.world.owner import Body, Owner

if TYPE_CHECKING:
    from tests.properties.simulation.world.world import World

REPLY_S = 45.0
COMMAND_TIMEOUT_S = 30.0
BEAT_TIMEOUT_S = LEASE_S / 4
NOTICED_S = 1.0


def before_lock(_pipeline: Pipeline) -> Pipeline | None:
    """What a transaction keeps from before it had the lock: nothing. It acts in later statements on what it finds."""
    return None


def is_reachable(world: "World", caller: Owner) -> bool:
    """Whether a call would arrive."""
    return world.now >= world.outage_until and world.now >= caller.cut_off_until


def transaction(world: "World", caller: Owner, verb: Callable[..., Any], *args: Any) -> Body:
    """One call: waits for its turn, acts at once as a whole, answers.

    Answers None where the caller learns nothing, whether or not it was done, or will be.
    """
    patience = BEAT_TIMEOUT_S if verb.__name__ == "beat" else COMMAND_TIMEOUT_S
    seen, delay = before_lock(world.db.pipeline), world.latency()
    if delay > NOTICED_S:
        caller.troubled_at = world.now + delay
    if delay > patience:
        world.spawn(world.network, _arrive_late(world, caller, verb, args), delay)
        yield patience
        return None
    yield delay
    if not is_reachable(world, caller):
        return None
    if world.happens("refused"):
        caller.troubled_at = world.now
        return None
    world.db.pipeline.seen = seen
    answer = commit(world, caller, verb, args)
    if world.happens("slow_reply"):
        delay = world.dice() ** 2 * REPLY_S
        caller.troubled_at = world.now + delay
        yield min(delay, patience)
        if delay > patience:
            return None
    if world.happens("lost_reply"):
        caller.troubled_at = world.now
        return None
    return answer


def _arrive_late(world: "World", caller: Owner, verb: Callable[..., Any], args: tuple[Any, ...]) -> Body:
    """Nobody waits any more for this call, and it is done all the same."""
    if is_reachable(world, caller):
        world.met.add("call_after_its_caller_gave_up")
        commit(world, caller, verb, args)
    return
    yield


def _note(world: "World") -> None:
    """What the new events tell of that should be met often enough."""
    for event in world.db.pipeline.events[world.witness.history.seq :]:
        if event.position is None:
            told = world.witness.history.stages
            if any(told[position].status is StageStatus.COMPLETED for position in event.retried):
                world.met.add("done_anew")
            continue
        stage = world.db.pipeline.stages[event.position]
        if event.type is EventType.STAGE_FAILED and event.outcome is None:
            world.met.add("given_up")
        elif event.type is EventType.STAGE_SKIPPED and stage.trigger_rule is TriggerRule.ANY_FAILED:
            world.met.add("alert_not_needed")
        elif event.type is EventType.STAGE_STARTED and stage.trigger_rule is TriggerRule.ANY_FAILED:
            world.met.add("alert")
        if event.type is EventType.STAGE_FAILED and stage.allow_failure:
            world.met.add("failure_allowed")


def commit(world: "World", caller: Owner, verb: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """The transaction itself, and a look at what it has done."""
    answer = verb(world.db, world.now, *args)
    name = verb.__name__
    if world.trace is not None:
        world.say(f"{caller.name}: {name} {', '.join(map(str, args))} → {answer}")
        for event in world.db.pipeline.events[world.witness.history.seq :]:
            place = "" if event.position is None else f" of stage {event.position}"
            world.say(f"        event {event.seq}: {event.type}{place} {event.outcome or ''}")
    _note(world)
    world.witness.saw(name, world.now, args, answer)
    if name == "expire" and answer:
        check_taken(world, answer)
    return answer
