"""Checkpoints in turns: clean-ups, and the training, its owner and the end of its pipeline in between."""

import shutil
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

from app.artifacts import FOLDER, attempt_directory
from app.core.retention import Rule
from app.db.pool import Pool
from app.errors import Conflict, NotFound
from app.services import checkpoints, pipelines, pruning, retention, stages
from schemas.checkpoint import CheckpointReport
from schemas.stage import Claim
from tests.properties.interleaving.numbers import Numbers
from tests.properties.turns.client import MOVED
from tests.properties.turns.stage import Stage, Step
from tests.support.pipelines import PAIR, Submitted, submit
from tests.support.workers import a_worker, ending

LOSSES = (50.0, 20.0, 70.0, 60.0, 40.0)
"""Of the checkpoints that are there at the beginning."""
OFTEN = [
    *["save"] * 4,
    *["clean"] * 5,
    "save anew",
    "pin",
    "pin",
    "unpin",
    "hourly",
    "end",
    "end",
    "delete",
    "prune",
    "prune",
]
RULE = Rule(best_n=1, metric="loss")
EMPTY = "TRUNCATE pipelines, stages, dependencies, attempts, events, checkpoints, workers, artifacts_left CASCADE"
ROWS = "SELECT step, state, pinned, (metrics ->> 'loss')::float AS loss FROM checkpoints ORDER BY step"
FILES = {"weights", "optimizer"}
removable, remove = retention._removable, retention.remove
REMOVED: list[str] = []
"""Whose files a clean-up has removed, one after the other."""


def remove_and_tell(root: Path, steps: tuple[str, ...], mark: str) -> None:
    """As ``app.trash.remove``, and remember it."""
    remove(root, steps, mark)
    REMOVED.append(steps[-1])


async def look_and_rest(*arguments: Any, **options: Any) -> Any:
    """As ``retention._removable``, and rest before the files go for which it was the last look."""
    found = await removable(*arguments, **options)
    if len(arguments) == len(("pool", "data_dir", "doomed")):
        await MOVED.get().pause("before the files")
    return found


class Row(NamedTuple):
    """A checkpoint in Postgres."""

    state: str
    pinned: bool
    loss: float


@dataclass
class World:
    """A stage that trains, ``a``, and what became of its checkpoints.

    Those that are ``contended`` were written anew, perhaps beside a clean-up: they may be gone, but are told to be. Not
    even that is promised of those that are ``forlorn``: their files went between their writing and their report, or by
    a clean-up that died then.
    """

    stage: Stage
    data_dir: Path
    pipeline: Submitted
    claims: list[Claim]
    losses: dict[int, float] = field(default_factory=dict)
    contended: set[int] = field(default_factory=set)
    forlorn: set[int] = field(default_factory=set)
    is_live: bool = True
    is_deleted: bool = False
    owner_deletes: bool = False
    met: Counter[str] = field(default_factory=Counter)

    @property
    def directory(self) -> Path:
        """Where the checkpoints are."""
        return attempt_directory(self.data_dir, self.pipeline.uuid, "a", 1) / "checkpoints"

    def is_whole(self, step: int) -> bool:
        """Whether all its files are there."""
        path = self.directory / f"step-{step}"
        return path.is_dir() and {each.name for each in path.iterdir()} == FILES

    def is_gone(self, step: int) -> bool:
        """Whether nothing is left of it under its name."""
        return not (self.directory / f"step-{step}").exists()

    async def rows(self) -> dict[int, Row]:
        """What Postgres has."""
        return {row["step"]: Row(*list(row)[1:]) for row in await self.stage.control.fetch(ROWS)}

    async def take(self, step: Step) -> None:
        """One step."""
        n, client, before = Numbers.of(step.drawn), self.stage.clients[step.client], await self.rows()
        dies, stops = n.rarely() and n.often(), n.often()
        if client.is_free:
            if not any(each.waits for each in self.stage.clients) and (call := self._call(n)):
                await self.stage.begin(client, call, stops=stops)
        elif dies:
            self.met[f"died {client.at}"] += 1
            self.forlorn |= self.contended
            await self.stage.die(client)
        elif client.at:
            await self.stage.go_on(client)
        self.met["waited"] += any(each.waits for each in self.stage.clients)
        await self.hold(before)

    def _call(self, n: Numbers) -> "Does | None":
        step = n.one_of([*self.losses][-6:])
        acts = {
            "clean": self._clean,
            "hourly": self._clean_hourly,
            "pin": lambda pool: self._pin(pool, step, pinned=True),
            "unpin": lambda pool: self._pin(pool, step, pinned=False),
            "end": self.end,
            "delete": self._delete,
            "prune": self._prune,
        }
        what = n.one_of(OFTEN)
        if what in acts:
            return Does(self, what, acts[what]) if what != "end" or n.rarely() else None
        return self._saves(max(self.losses) + 1 if what == "save" else step, n)

    def _saves(self, step: int, n: Numbers) -> "Does | None":
        if not self.is_live:
            return None
        loss = float(n.below(100))
        return Does(self, f"save {step}", lambda pool: self.save(pool, step, loss))

    async def save(self, pool: Pool, step: int, loss: float) -> None:
        """Write the files of a checkpoint, and report it."""
        if step in self.losses:
            self.contended.add(step)
            self.met["saved anew"] += 1
        self.losses[step] = loss
        path = self.directory / f"step-{step}"
        path.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (path / name).write_text(name)
        claim, gone_before = self.claims[0], REMOVED.count(path.name)
        await checkpoints.record(
            pool, [CheckpointReport(claim.stage, claim.lease_token, step, str(path), {"loss": loss}, 1)]
        )
        if REMOVED.count(path.name) > gone_before:
            self.forlorn.add(step)

    async def _clean(self, pool: Pool) -> None:
        await retention.clean(pool, self.data_dir, self.pipeline.uuid, RULE)

    async def _clean_hourly(self, pool: Pool) -> None:
        done = await retention.cleanup_old_checkpoints(pool, self.data_dir, older_than_s=-1e6, rule=RULE)
        assert not done.failed

    async def _pin(self, pool: Pool, step: int, *, pinned: bool) -> None:
        number = "SELECT id FROM checkpoints WHERE step = $1"
        try:
            await checkpoints.pin(pool, await self.stage.pool.fetchval(number, step) or 0, pinned=pinned)
        except (Conflict, NotFound):
            self.met["pin refused"] += 1
        else:
            self.met["pinned"] += pinned

    async def end(self, pool: Pool) -> None:
        """Both stages complete."""
        self.is_live = False
        await stages.complete(pool, [ending(claim) for claim in self.claims])

    async def _settle(self) -> None:
        """The scheduler follows up, if nobody holds a lock that it would want."""
        locked = any(client.waits or client.at == "before COMMIT" for client in self.stage.clients)
        if not (self.is_live or locked or self.is_deleted):
            await self.pipeline.release()

    async def _delete(self, pool: Pool) -> None:
        await self._settle()
        try:
            await pipelines.delete(pool, self.pipeline.uuid)
        except (Conflict, NotFound):
            return
        self.owner_deletes = True
        self.met["deleted by its owner"] += 1
        await pruning.remove_artifacts(pool, self.data_dir, self.pipeline.uuid)

    async def _prune(self, pool: Pool) -> None:
        await self._settle()
        self.met["pruned"] += await pruning.prune(pool, self.data_dir, older_than_s=-1e6)

    async def hold(self, before: dict[int, Row]) -> None:
        """Nothing that is to be kept has gone, and nothing is half there."""
        rows = await self.rows()
        if not self.is_deleted and not rows and before:
            self.is_deleted = True
            is_pinned = any(row.pinned for row in before.values())
            assert self.owner_deletes or not is_pinned, "it was pruned, and something is pinned"
        completes = [step for step, row in before.items() if row.state == "complete"]
        for step, row in rows.items():
            self.met[row.state] += row.state != before.get(step, row).state
            if step in self.contended or self.is_deleted:
                continue
            if row.state == "complete":
                assert self.is_whole(step), f"step {step} is complete, and torn"
            if row.pinned:
                assert row.state == "complete", f"step {step} is pinned, and {row.state}"
            if row.state == "deleted":
                assert self.is_gone(step), f"step {step} is deleted, and there"
            assert self.is_whole(step) or self.is_gone(step), f"step {step} is half there"
            if row.state == "deleting" and self.is_live and before[step].state == "complete":
                assert step != max(completes), f"step {step} goes, where the stage would resume"

    async def drain(self) -> None:
        """Everybody comes to an end, and a last clean-up finishes whatever the dead have begun."""
        before = await self.rows()
        await self.stage.rest()
        await self.hold(before)
        rows, client = await self.rows(), self.stage.clients[0]
        complete = {step: row for step, row in rows.items() if row.state == "complete"}
        wanted = {step for step, row in complete.items() if row.pinned}
        wanted |= {min(complete, key=lambda step: (complete[step].loss, step))} if complete else set()
        status = {} if self.is_deleted else await self.pipeline.statuses()
        wanted |= set(sorted(complete)[-2:]) if status.get("a") == "running" else set()
        begun = {step for step, row in rows.items() if row.state == "deleting"}
        for what, act in (("hourly", self._clean_hourly), ("clean", self._clean), ("clean", self._clean)):
            await self.stage.begin(client, Does(self, what, act), stops=False)
            await self.stage.rest()
            assert not {step for step, row in (await self.rows()).items() if row.state == "deleting"} & begun
        rows = await self.rows()
        assert {step for step, row in rows.items() if row.state == "complete"} == wanted
        assert not complete or {row.state for row in rows.values()} <= {"complete", "deleted"}
        if complete:
            assert [path.name for path in self.directory.glob(".trash-*")] == []
            reported = rows.keys() - self.contended
            assert {step for step in reported if not self.is_gone(step)} == wanted - self.contended
            told = {step for step in self.contended - self.forlorn if rows[step].state == "complete"}
            assert all(self.is_whole(step) for step in told), f"{told} are complete, and one is torn"
        await pruning.remove_leftovers(self.stage.pool, self.data_dir)
        assert (self.data_dir / FOLDER / str(self.pipeline.uuid)).exists() is not self.is_deleted
        shutil.rmtree(self.data_dir)


@dataclass
class Does:
    """A service is called; where it has to wait, nobody foresees."""

    world: World
    what: str
    act: Callable[[Pool], Awaitable[None]]
    has_waited: bool = field(default=False, init=False)
    locks: set[object] = field(default_factory=set, init=False)

    def __str__(self) -> str:
        return self.what

    def is_held_up(self) -> None:
        """Nobody knows."""
        return

    def foresee(self) -> None:
        """Nothing."""

    def take_effect(self, _answer: None) -> None:
        """Count it."""
        self.world.met[self.what.split()[0]] += 1


async def fresh(stage: Stage, number: int) -> World:
    """A world with a pipeline of two stages that run; in every third it has ended."""
    REMOVED.clear()
    await stage.control.execute(EMPTY)
    pipeline, worker = await submit(stage.pool, PAIR), await a_worker(stage.pool)
    data_dir = Path(mkdtemp())
    (data_dir / FOLDER).mkdir()
    world = World(stage, data_dir, pipeline, await worker.claim(pipeline, "a", "b"))
    for step, loss in enumerate(LOSSES, 1):
        await world.save(stage.pool, step, loss)
    if number % 3 == 0:
        await world.end(stage.pool)
        await pipeline.release()
    return world
