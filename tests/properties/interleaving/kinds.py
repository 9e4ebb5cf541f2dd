"""Pipelines of few stages, of every kind that the protocol treats differently."""

from functools import partial

from schemas.queue import Slot
from schemas.states import TriggerRule
from tests.support.pipelines import CHAIN, DIAMOND, ONE, PAIR, a_plan

DONE, FAILED = {"trigger_rule": TriggerRule.ALL_DONE}, {"trigger_rule": TriggerRule.ANY_FAILED}
HOURS_S = 3600.0
KINDS = {
    "one": partial(a_plan, ONE),
    "pair": partial(a_plan, PAIR),
    "beside": partial(a_plan, {"a": (), "b": ("a",), "c": ()}),
    "join": partial(a_plan, {"a": (), "b": (), "join": ("a", "b")}),
    "chain": partial(a_plan, CHAIN),
    "diamond": partial(a_plan, DIAMOND, of={"c": {"slot": Slot.PROCESS}}),
    "wide": partial(a_plan, {"a": (), **dict.fromkeys("bcde", ("a",))}, of={"c": {"slot": Slot.PROCESS}}),
    "ruled": partial(
        a_plan,
        {"lint": (), "a": ("lint",), "alert": ("a",), "clean": ("a", "alert")},
        of={"lint": {"allow_failure": True}, "alert": FAILED, "clean": DONE},
    ),
    "watched": partial(
        a_plan,
        {"a": (), "b": (), "alert": ("a", "b"), "clean": ("a", "b"), "after": ("alert",)},
        of={"alert": FAILED, "clean": DONE},
    ),
    "alarm": partial(a_plan, {"a": (), "alarm": ("a",), "after": ("alarm",)}, of={"alarm": FAILED, "after": FAILED}),
    "tolerant": partial(a_plan, {"a": (), "b": ("a",), "c": ("b",)}, of={"a": {"allow_failure": True}, "c": FAILED}),
    "impatient": partial(a_plan, {"a": (), "b": ("a",)}, of={"a": {"queue_timeout_s": HOURS_S}}),
    "harmless": partial(a_plan, {"a": (), "b": ()}, of={"b": {"allow_failure": True, "queue_timeout_s": HOURS_S}}),
}
