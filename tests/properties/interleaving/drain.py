"""The end of a schedule: everybody commits, and a scheduler and a worker that only follow the sweep do the rest."""

from uuid import UUID, uuid4

from app.db import stages as db
from schemas.stage import ClaimRequest, Completion
from schemas.states import PIPELINE_TERMINAL, Outcome
from tests.properties.interleaving import rescuer
from tests.properties.interleaving.book import P, S
from tests.properties.interleaving.calls import Ask, Claim, Complete, Release
from tests.properties.interleaving.reference.released import whole
from tests.properties.interleaving.stand import Stand
from tests.properties.interleaving.verify import same

LIMIT = 1_000
ROUNDS = 12
GO_ON = {P.PENDING: "start", P.PAUSED: "resume"}
TRY_AGAIN = {P.FAILED: "retry", P.CANCELLED: "retry"}


async def drain(stand: Stand) -> None:
    """Go on until everything has ended, as it must; retry what did not end well, and go on again."""
    await _let_everybody_commit(stand)
    if stand.ledger.queue_is_paused:
        await stand.turn_queue()
    if lost := await rescuer.lost(stand):
        await stand.do(lost)
    worker = await stand.register()
    for verbs in (GO_ON, TRY_AGAIN):
        for book in list(stand.ledger.books.values()):
            if book.status in verbs:
                await stand.do(Ask(verbs[book.status], book.uuid))
        await _run_dry(stand, worker)
    await _check_the_end(stand)


async def _run_dry(stand: Stand, worker: UUID) -> None:
    for _ in range(ROUNDS):
        for book in stand.ledger.books.values():
            await stand.let_hours_pass(book)
        found = await _sweep(stand)
        began = await _claim(stand, worker)
        ended = await _complete(stand)
        if not (found or began or ended):
            break


async def _let_everybody_commit(stand: Stand) -> None:
    while opened := [client for client in stand.clients if client.is_open]:
        await stand.commit(opened[0])


async def _sweep(stand: Stand) -> bool:
    behind = await db.releasable(stand.control, LIMIT)
    books = stand.ledger.books.values()
    expected = {book.id for book in books if book.untold or whole(book, stand.ledger)}
    same("releasable", set(behind), expected)
    if behind:
        await stand.do(Release(tuple(behind)))
    return bool(behind)


async def _claim(stand: Stand, worker: UUID) -> bool:
    queued = await db.queued_after(stand.control, db.FIRST, min_age_s=-1, limit=LIMIT)
    expected = {
        (book.stages[at], stage.queued)
        for book in stand.ledger.books.values()
        for at, stage in enumerate(book.history.stages)
        if book.status is P.RUNNING and stage.status is S.QUEUED
    }
    same("queued", {(each.stage, each.dispatch_token) for each in queued}, expected)
    if queued:
        await stand.do(Claim(worker, tuple(ClaimRequest(each.stage, each.dispatch_token, uuid4()) for each in queued)))
    return bool(queued)


async def _complete(stand: Stand) -> bool:
    running = stand.ledger.running()
    said = [Completion(b.stages[at], b.stage(at).attempt, b.holder(at), Outcome.COMPLETED, {}) for b, at in running]
    if said:
        await stand.do(Complete(tuple(said)))
    return bool(said)


async def _check_the_end(stand: Stand) -> None:
    await stand.do(Release(tuple(stand.ledger.books)))  # touches all, so that all are read again
    for book in stand.ledger.books.values():
        assert book.status in PIPELINE_TERMINAL, f"{book.id} is {book.status} in the end, with {book.statuses()}"
    await stand.control.execute("DELETE FROM workers")
