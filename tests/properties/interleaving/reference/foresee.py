"""What every call must answer, and which events it must append: the rules once more, from plan and events alone.

Told in the order of commits, one call after the other. It knows no counter, no batch statement and no index: whatever
it wants to know it looks for among all stages.
"""

from collections.abc import Callable
from typing import Any

from tests.properties.interleaving.calls import (
    Ask,
    AskOfStage,
    Beat,
    Call,
    Claim,
    Complete,
    CompleteToWorker,
    Create,
    Delete,
    Expire,
    Leave,
    Purge,
    Release,
)
from tests.properties.interleaving.ledger import Ledger
from tests.properties.interleaving.reference import asked, attempts, followed, leases, released
from tests.properties.interleaving.reference.foreseen import Foreseen

VERBS: dict[type[Call], Callable[[Any, Ledger, set[Any]], Foreseen]] = {
    Create: lambda _call, _ledger, _got: Foreseen(),
    Ask: asked.ask,
    AskOfStage: asked.ask_of_stage,
    Purge: asked.purge,
    Delete: asked.delete,
    Claim: attempts.claim,
    Complete: attempts.complete,
    CompleteToWorker: followed.complete_to_worker,
    Release: released.release,
    Beat: leases.beat,
    Leave: lambda _call, _ledger, _got: Foreseen(answer=None),
    Expire: leases.expire,
}


def foresee(call: Call, ledger: Ledger, got: set[Any]) -> Foreseen:
    """What the call does and says, if it holds the locks ``got``."""
    foreseen = VERBS[type(call)](call, ledger, got)
    foreseen.is_held_back = ledger.queue_is_paused
    return foreseen
