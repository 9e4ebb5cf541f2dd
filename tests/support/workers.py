"""Workers for tests: they claim and complete through the services like real ones, but only when told to."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from app.db.pool import Pool
from app.services import stages, workers
from schemas.queue import QUEUES_BY_PRIORITY
from schemas.stage import Beat, Claim, Claimed, ClaimRequest, Completed, Completion, Held
from schemas.states import Outcome
from tests.support.pipelines import Submitted

LEASE_S = 30.0


def requests_of(rows: Iterable[Any]) -> list[ClaimRequest]:
    """Ask for stages, each under a lease token of its own."""
    return [ClaimRequest(row["uuid"], row["dispatch_token"], uuid4()) for row in rows]


def ending(claim: Claim, outcome: Outcome = Outcome.COMPLETED, **fields: Any) -> Completion:
    """How an attempt ended: well, unless told otherwise."""
    told = {"result": {"answer": 42}} if outcome is Outcome.COMPLETED else {"error": {"code": "x", "message": "broke"}}
    return Completion(claim.stage, claim.attempt, claim.lease_token, outcome, **(told | fields))


def loss(claim: Claim) -> Completion:
    """What a rescuer says of an attempt."""
    return ending(claim, Outcome.LOST, retry_delay_s=0, costs_retry=False)


@dataclass
class ScriptedWorker:
    """Holds a lease; does what the test says and nothing by itself."""

    pool: Pool
    id: UUID = field(default_factory=uuid4)

    async def register(self, lease_s: float = LEASE_S) -> None:
        """Begin, with a lease of so many seconds from now: a negative one has run out already."""
        await workers.register(
            self.pool,
            self.id,
            name="scripted",
            version="1",
            queues=QUEUES_BY_PRIORITY,
            tasks=["noop"],
            slots=(4, 100),
            lease_timeout_s=lease_s,
        )

    async def ask(self, requests: list[ClaimRequest]) -> Claimed:
        """Claim in one batch."""
        return await stages.claim(self.pool, self.id, requests)

    async def claim(self, pipeline: Submitted, *names: str) -> list[Claim]:
        """Claim the named stages as they are now; the claims come in the same order."""
        rows = [await pipeline.stage(name) for name in names]
        answer = await self.ask(requests_of(rows))
        by_stage = {claim.stage: claim for claim in answer.claims}
        return [by_stage[row["uuid"]] for row in rows if row["uuid"] in by_stage]

    async def start(self, pipeline: Submitted, name: str = "a") -> Claim:
        """Claim one stage that must be there to be claimed."""
        (claim,) = await self.claim(pipeline, name)
        return claim

    async def report(self, *completions: Completion) -> Completed:
        """Complete in one batch."""
        return await stages.complete(self.pool, completions)

    async def complete(self, pipeline: Submitted, *names: str) -> None:
        """Run stages to a good end."""
        await self.report(*(ending(claim) for claim in await self.claim(pipeline, *names)))

    async def fail(self, pipeline: Submitted, *names: str, **fields: Any) -> None:
        """Run stages to a bad end."""
        claims = await self.claim(pipeline, *names)
        await self.report(*(ending(claim, Outcome.FAILED, **fields) for claim in claims))

    async def beat(self, *held: Claim, lease_s: float = LEASE_S) -> Beat:
        """Renew the lease, holding these."""
        held_now = [Held(claim.stage, claim.lease_token) for claim in held]
        return await workers.beat(self.pool, self.id, lease_s, held_now)

    async def lose_lease(self) -> None:
        """The worker dies, its lease runs out, and the scheduler notices."""
        query = "UPDATE workers SET lease_expires_at = clock_timestamp() - interval '1 ms' WHERE id = $1"
        await self.pool.execute(query, self.id)
        assert await workers.expire(self.pool) == 1


async def a_worker(pool: Pool, **lease: float) -> ScriptedWorker:
    """A worker with a lease."""
    worker = ScriptedWorker(pool)
    await worker.register(**lease)
    return worker
