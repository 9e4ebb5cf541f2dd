"""Schedules in turns: who does what next, and how it all ends."""

import pytest

from schemas.schedule import CatchUp, Overlap
from tests.properties.interleaving.numbers import Numbers
from tests.properties.turns.client import Client
from tests.properties.turns.slots.calls import Asks, Call, Changes, Deletes, Fires, Forgets
from tests.properties.turns.slots.world import World
from tests.properties.turns.stage import Stage, Step

POLICIES = [*(f"overlap {each}" for each in Overlap), *(f"catch_up {each}" for each in (CatchUp.NONE, CatchUp.ALL))]
CHANGES = ["pause", "resume", "resume", *POLICIES]
TURNS_MAX = 20
ACTS = [*["fire"] * 8, *["hour"] * 4, *["ask"] * 4, *["change"] * 2, "forget", "delete"]


class Play(World):
    """A world in which somebody does something."""

    async def take(self, step: Step) -> None:
        """One step."""
        n, client, before = Numbers.of(step.drawn), self.stage.clients[step.client], self.stage.commits
        dies, stops = n.rarely(), n.often()
        if client.is_free:
            if call := await self._call(n):
                self.met["held_up"] += call.is_held_up()
                await self.stage.begin(client, call, stops=stops and not isinstance(call, Forgets))
        elif dies:
            self.met["died"] += 1
            await self.stage.die(client)
        elif client.at:
            await self.stage.go_on(client)
        if self.stage.commits > before:
            await self.hold()

    async def _call(self, n: Numbers) -> Call | None:
        what, looks_again = n.one_of(ACTS), n.often()
        if looks_again and what == "fire":
            await self.look()
        if looks_again and what == "change":
            await self.read()
        if what == "hour":
            self.now += 1 + n.below(5) * n.rarely()
        elif what == "fire" and self.looks:
            return Fires(self, *n.one_of(self.looks[-3:]))
        elif what == "ask" and self.timetable.pipelines:
            verb = n.one_of(["cancel", "cancel", "cancel", "retry", "delete"])
            return Asks(self, verb, n.one_of([*self.timetable.pipelines]))
        return self._change(what, n)

    def _change(self, what: str, n: Numbers) -> Call | None:
        if what == "change":
            return Changes(self, n.one_of(CHANGES), n.one_of(self.found[-2:]))
        if what == "delete" and n.rarely():
            return Deletes(self, self.found[-1].id)
        return Forgets(self) if what == "forget" else None

    async def drain(self) -> None:
        """Everybody commits; then schedulers that only look do the rest, and every slot is decided."""
        await self.stage.rest()
        timetable, client = self.timetable, self.stage.clients[0]
        if timetable.is_there and timetable.paused:
            await self.read()
            await self.stage.begin(client, Changes(self, "resume", self.found[-1]), stops=False)
        self.now += 2
        for _ in range(TURNS_MAX):
            await self._turn(client)
            if not timetable.is_there or (timetable.following == self.now + 1 and not timetable.waiting):
                return
        pytest.fail(f"it does not come to rest: {timetable}")

    async def _turn(self, client: Client) -> None:
        self.looks.clear()
        await self.look()
        for uuid in self.timetable.in_the_way:
            await self.stage.begin(client, Asks(self, "cancel", uuid), stops=False)
        for each in list(self.looks):
            await self.stage.begin(client, Fires(self, *each), stops=False)
        await self.hold()


async def fresh(stage: Stage, number: int) -> World:
    """A world with a schedule; the policies take turns."""
    return await Play.fresh(stage, [*Overlap][number % len(Overlap)])
