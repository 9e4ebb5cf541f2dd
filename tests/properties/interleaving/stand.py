"""Postgres with a few clients on one side, the reference on the other, and after every step they must agree.

A step lets one client begin, commit, roll back or give up. Then everybody moves as far as locks allow: a step ends when
every call has its answer or waits for a lock, as Postgres itself says. So a schedule is the same whenever it is played.
"""

from uuid import UUID, uuid4

import asyncpg

from app.db import queues, workers
from app.db.pool import Session
from schemas.queue import QUEUES_BY_PRIORITY, Queue
from schemas.stage import Claim as Granted
from schemas.stage import Claimed, CompletedToWorker
from tests.properties.interleaving import verify
from tests.properties.interleaving.book import Book, S
from tests.properties.interleaving.calls import Call, Create
from tests.properties.interleaving.client import Client
from tests.properties.interleaving.commits import Commits
from tests.properties.interleaving.ledger import Lease, Ledger
from tests.properties.interleaving.locks import Lock, Locks
from tests.properties.interleaving.met import met_at_answer, met_at_start
from tests.properties.interleaving.reference.foresee import foresee
from tests.properties.interleaving.story import Story
from tests.properties.interleaving.surgery import make_patient

CLIENTS = 4
LEASE_S = 3600.0
WAITING = "SELECT count(DISTINCT pid) FROM pg_locks WHERE pid = ANY ($1) AND NOT granted"
NOT_STARTED = (S.QUEUED, S.RETRYING)
HOURS_PASS = """
UPDATE stages SET retry_at = retry_at - interval '10 h', give_up_at = give_up_at - interval '10 h'
 WHERE pipeline_id = $1 AND status IN ('queued', 'retrying')"""
TABLES = "pipelines, stages, dependencies, attempts, events, checkpoints, workers"


class Stand:
    """Lives as long as its connections; ``begin`` makes it fresh for a schedule."""

    def __init__(self, control: Session, sessions: list[Session]) -> None:
        self.control = control
        self.clients = [Client(number, c, control) for number, c in enumerate(sessions)]
        self.fresh()

    @classmethod
    async def open(cls, database_url: str) -> "Stand":
        """Connect, and make the database patient for good."""
        control = await asyncpg.connect(database_url, server_settings={"plan_cache_mode": "force_generic_plan"})
        await make_patient(control)
        sessions = [await asyncpg.connect(database_url) for _ in range(CLIENTS)]
        return cls(control, sessions)

    async def close(self) -> None:
        """Disconnect."""
        for c in (self.control, *(client.c for client in self.clients)):
            await c.close()

    def fresh(self) -> None:
        """Know nothing."""
        self.ledger = Ledger()
        self.met: set[str] = set()
        self.story = Story()
        self.locks = Locks()
        self.workers: list[UUID] = []  # newest first
        self.sent: list[Call] = []  # what may be sent again
        self.heard: list[Granted] = []  # what workers were told, whether or not it was ever committed
        self.commits = Commits(self.control, self.ledger, self.met)

    async def clear(self) -> None:
        """Leave nothing behind, whatever has happened."""
        for client in self.clients:
            await client.reset()
        await self.control.execute(f"TRUNCATE {TABLES} CASCADE; UPDATE queues SET paused_at = NULL")

    async def register(self) -> UUID:
        """A worker begins, under a lease that is as long as a schedule."""
        worker = uuid4()
        options = {"name": "scripted", "version": "1", "queues": QUEUES_BY_PRIORITY, "tasks": [], "slots": (4, 100)}
        await workers.register(self.control, worker, lease_timeout_s=LEASE_S, **options)
        self.ledger.leases[worker] = Lease()
        self.workers.insert(0, worker)
        return worker

    async def turn_queue(self) -> None:
        """An operator pauses the queue, or resumes it."""
        self.ledger.queue_is_paused = not self.ledger.queue_is_paused
        await queues.pause(self.control, Queue.DEFAULT, paused=self.ledger.queue_is_paused)

    async def let_hours_pass(self, book: Book) -> None:
        """What waits in a pipeline has waited long enough, unless somebody is busy with it."""
        if book.id not in self.locks.holder and any(status in NOT_STARTED for status in book.statuses()):
            await self.control.execute(HOURS_PASS, book.id)
            book.let_hours_pass()

    async def begin(self, client: Client, call: Call, *, stops: bool = False) -> None:
        """Send a call, unless it would have to wait in line; the client commits with it, or stops before."""
        needs = self.ledger.needs(call)
        if needs.patient and self.locks.would_wait_in_line(needs.locks):
            return
        self.sent += [] if isinstance(call, Create) else [call]
        self.locks.request(client.number, needs.locks, patient=needs.patient)
        waits = self.locks.waits(client.number)
        self.met.update(met_at_start(call, waits=waits))
        self.story.tell(client, "waits with" if waits else "sends", call, "and stops" * stops)
        await client.send(call, stops=stops, waits=waits)
        await self._settle()

    async def commit(self, client: Client) -> None:
        """The client's transaction takes effect, and the locks are free."""
        await self._take_effect(client)
        await self._settle()

    async def die(self, client: Client) -> None:
        """The client dies before it has committed, or while it waits."""
        self.story.tell(client, "dies")
        self.met.add("dies_open" if client.is_open else "dies_waiting")
        await (client.end("ROLLBACK") if client.is_open else client.give_up())
        self._let_go(client)
        await self._settle()

    async def do(self, call: Call) -> None:
        """A whole transaction, when nobody else has one."""
        await self.begin(self.clients[0], call)

    async def _take_effect(self, client: Client) -> None:
        self.story.tell(client, "commits")
        await client.end("COMMIT")
        call, foreseen, answer = client.call, client.foreseen, client.answer
        got = self._let_go(client)
        await self.commits.take(call, foreseen, answer, got)

    def _let_go(self, client: Client) -> set[Lock]:
        client.become_free()
        got = self.locks.held_by(client.number)
        self.locks.release(client.number)
        return got

    async def _settle(self) -> None:
        while ready := [c for c in self.clients if c.is_underway and not self.locks.waits(c.number)]:
            await self._receive(ready[0])
        waiting = [c for c in self.clients if c.is_underway]
        pids = [client.pid for client in waiting]
        while waiting and await self.control.fetchval(WAITING, pids) < len(waiting):
            hasty = [client.call for client in waiting if client.is_answered()]
            assert not hasty, f"{hasty} did not wait for a lock that somebody else holds"

    async def _receive(self, client: Client) -> None:
        foreseen = foresee(client.call, self.ledger, self.locks.held_by(client.number))
        if not await client.receive(foreseen):
            self.met.add("bad_data")
            self._let_go(client)
            return
        self.story.tell(client, "hears", client.answer)
        verify.check_answer(client.call, foreseen, client.answer)
        self.met.update(met_at_answer(client.call, foreseen, client.answer, self.ledger))
        if isinstance(client.answer, Claimed | CompletedToWorker):
            self._hear(client.answer.claims)
        if not client.stops:
            await self._take_effect(client)

    def _hear(self, claims: list[Granted]) -> None:
        new = [claim for claim in claims if claim not in self.heard]
        places = {uuid: (book.id, position) for uuid, (book, position) in self.ledger.stages.items()}
        self.heard += sorted(new, key=lambda claim: places[claim.stage])
