"""Play a schedule from an empty stage to its end."""

from tests.properties.interleaving.acts import Creates, Repeats
from tests.properties.interleaving.drain import drain
from tests.properties.interleaving.schedule import Schedule, Step
from tests.properties.interleaving.stand import Stand

WORKERS = 2


async def play(schedule: Schedule, stand: Stand) -> set[str]:
    """Return what the schedule has met; raises whatever shows that it did not go as it had to."""
    stand.fresh()
    try:
        await _prepare(schedule, stand)
        for step in schedule.steps:
            await _take(step, schedule, stand)
        met = set(stand.met)
        await drain(stand)
    except BaseException as error:
        stand.story.tell(str(error))
        stand.story.name(stand.ledger)
        error.add_note(str(stand.story))
        await stand.clear()
        raise
    return met


async def _prepare(schedule: Schedule, stand: Stand) -> None:
    for _ in range(WORKERS):
        await stand.register()
    for shape in schedule.shapes:
        await stand.do(await Creates(shape, start=True).call(stand))


async def _take(step: Step, schedule: Schedule, stand: Stand) -> None:
    client = stand.clients[step.client % schedule.clients]
    if client.is_free:
        if call := await step.act.call(stand):
            stand.met |= {"sent_again"} if isinstance(step.act, Repeats) else set()
            await stand.begin(client, call, stops=step.stops)
    elif step.dies:
        await stand.die(client)
    elif client.is_open:
        await stand.commit(client)
