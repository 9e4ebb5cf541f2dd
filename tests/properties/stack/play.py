"""Play a story on a real installation, and hold it against its reference at every rest."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import UUID

from app.client import ApiError
from schemas.event import Event, EventType
from schemas.states import PIPELINE_TERMINAL, STAGE_TERMINAL, PipelineStatus, StageStatus
from tests.properties.stack.plans import Act, Story, name
from tests.properties.stack.reference import Reference
from tests.support.installation import Headway

E = EventType
WITHIN_S = 60.0
STATUS_AFTER = {
    E.PIPELINE_CREATED: PipelineStatus.PENDING,
    E.PIPELINE_STARTED: PipelineStatus.RUNNING,
    E.PIPELINE_PAUSED: PipelineStatus.PAUSED,
    E.PIPELINE_RESUMED: PipelineStatus.RUNNING,
    E.PIPELINE_CANCELLING: PipelineStatus.CANCELLING,
    E.PIPELINE_COMPLETED: PipelineStatus.COMPLETED,
    E.PIPELINE_FAILED: PipelineStatus.FAILED,
    E.PIPELINE_CANCELLED: PipelineStatus.CANCELLED,
}


@dataclass
class View:
    """A pipeline as its events tell it."""

    count: int
    status: PipelineStatus = PipelineStatus.PENDING
    stages: dict[str, StageStatus] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    seq: int = 0
    started_while_paused: list[str] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Learn from the next event."""
        if event.id is None:
            return
        assert int(event.id) == self.seq + 1, f"a gap before {event.id}"
        self.seq += 1
        kind = E(event.type)
        if kind in STATUS_AFTER:
            if self.status in PIPELINE_TERMINAL:
                self.stages |= dict.fromkeys(event.data["stages"], StageStatus.PENDING)
            self.status = STATUS_AFTER[kind]
            return
        assert event.subject is not None
        if kind is E.STAGE_STARTED:
            self.attempts[event.subject] = self.attempts.get(event.subject, 0) + 1
            self.stages[event.subject] = StageStatus.RUNNING
            if self.status is not PipelineStatus.RUNNING:
                self.started_while_paused.append(event.subject)
        else:
            self.stages[event.subject] = StageStatus(kind.removeprefix("stage."))

    def standing(self) -> tuple[Any, ...]:
        """What a reference can be compared with."""
        names = [name(at) for at in range(self.count)]
        return (
            self.status,
            [self.stages.get(each, StageStatus.PENDING) for each in names],
            [self.attempts.get(each, 0) for each in names],
        )


def standing(reference: Reference) -> tuple[Any, ...]:
    """The same of a reference."""
    return reference.status, reference.stages, reference.attempts


async def is_accepted(call: Callable[[], Awaitable[Any]]) -> bool:
    """Make a call, which may be refused for the state that it meets and for nothing else."""
    try:
        await call()
    except ApiError as refused:
        if refused.status != HTTPStatus.CONFLICT:
            raise
        return False
    return True


class Player:
    """Plays one story."""

    def __init__(self, headway: Headway, story: Story) -> None:
        self.headway = headway
        self.story = story
        self.view = View(len(story.parts))
        self.tasks: dict[str, UUID] = {}
        self.met: Counter[tuple[str, bool]] = Counter()

    async def play(self) -> Counter[tuple[str, bool]]:
        """See the story to its end, by a cancel if by nothing else; return how often what was asked and accepted."""
        created = await self.headway.pipelines.create(self.story.spec())
        self.uuid, self.tasks = created.uuid, created.stage_tasks
        await self.headway.start(self.uuid)
        reference = Reference(self.story.parts)
        await self._rest(reference, "start")
        for act in (*self.story.acts, Act("resume"), Act("cancel")):
            accepted = reference.do(act)
            assert await self._accepts(act) is accepted, (act, self.story)
            self.met[act.verb, accepted] += 1
            await self._rest(reference, act)
        await self._hold(reference)
        return self.met

    async def _accepts(self, act: Act) -> bool:
        pipelines, tasks = self.headway.pipelines, self.headway.tasks
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "pause": lambda: pipelines.pause(self.uuid),
            "resume": lambda: pipelines.resume(self.uuid),
            "cancel": lambda: pipelines.cancel(self.uuid),
            "retry": lambda: pipelines.retry(self.uuid),
            "cancel_stage": lambda: tasks.cancel(self.tasks[name(act.place)]),
            "retry_stage": lambda: tasks.retry(self.tasks[name(act.place)]),
        }
        return await is_accepted(calls[act.verb])

    async def _rest(self, reference: Reference, after: object) -> None:
        """Follow the events until all that must happen has happened."""
        try:
            async with asyncio.timeout(WITHIN_S):
                while self.view.standing() != standing(reference):
                    async with aclosing(self.headway.watch(self.uuid, self.view.seq)) as events:
                        async for event in events:
                            self.view.take(event)
                            if self.view.standing() == standing(reference):
                                break
        except TimeoutError:
            raise AssertionError(
                f"after {after}: {self.view.standing()}\nnot {standing(reference)}\nof {self.story}"
            ) from None

    async def _hold(self, reference: Reference) -> None:
        """What the API says in the end is what the events have told."""
        pipeline = await self.headway.get(self.uuid)
        assert pipeline.status == reference.status
        assert [stage.status for stage in pipeline.stages] == reference.stages
        assert [stage.attempt for stage in pipeline.stages] == reference.attempts
        assert STAGE_TERMINAL.issuperset(reference.stages)
        assert self.view.started_while_paused == []
