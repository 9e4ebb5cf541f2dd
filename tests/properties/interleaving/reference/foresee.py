"""What every call must answer, and which events it must append: the rules once more, from plan and events alone.

Told in the order of commits, one call after the other. It knows no counter, no batch statement and no index: whatever
it wants to know it looks for among all stages.
"""

from collections.abc import Callable
from typing import Any

from tests.properties.interleaving.calls import (
    Ask,
    Beat,
    Call,
    CancelStage,
    Claim,
    Complete,
    Create,
    Delete,
    Expire,
    Leave,
    Release,
)
from tests.properties.interleaving.ledger import Ledger
from tests.properties.interleaving.reference import asked, attempts, leases, released
from tests.properties.interleaving.reference.foreseen import Foreseen

VERBS: dict[type[Call], Callable[[Any, Ledger, set[Any]], Foreseen]] = {
    Create: lambda _call, _ledger, _got: Foreseen(),
    Ask: lambda call, ledger, _got: asked.ask(call.verb, ledger.named(call.uuid)),
    CancelStage: lambda call, ledger, _got: _cancel_stage(call, ledger),
    Delete: lambda call, ledger, _got: asked.delete(ledger.named(call.uuid)),
    Claim: attempts.claim,
    Complete: attempts.complete,
    Release: released.release,
    Beat: lambda call, ledger, _got: leases.beat(call, ledger),
    Leave: lambda _call, _ledger, _got: Foreseen(answer=None),
    Expire: lambda _call, ledger, got: Foreseen({"expired": len(got.intersection(ledger.expired()))}),
}


def _cancel_stage(call: CancelStage, ledger: Ledger) -> Foreseen:
    found = ledger.find(call.stage)
    return asked.cancel_stage(*found) if found else Foreseen(answer=None)


def foresee(call: Call, ledger: Ledger, got: set[Any]) -> Foreseen:
    """What the call does and says, if it holds the locks ``got``."""
    return VERBS[type(call)](call, ledger, got)
