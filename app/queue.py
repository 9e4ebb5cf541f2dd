"""The job queue: queued stages become arq jobs on per-priority Redis queues, and news become hints on a stream.

Redis holds nothing that Postgres does not know better. Every call here may be lost or repeated; the scheduler's sweep
makes up for the one and the claim in Postgres for the other. Keys, below the prefix:

``queue:<queue>:<slot>``   zset of job ids, ``<stage uuid>:<dispatch token>``, by score: one lane of a queue
``wake:<queue>:<slot>``    marker that wakes one blocked worker
``lanes``                  set of the lanes that hold jobs
``inflight``, ``homes``    ids popped but not yet claimed in Postgres, and where they go back to
``completions``            stream: the pipelines in which a stage has ended, for the schedulers
``events``, ``live``       streams for the API: hints of what was committed; reports of running stages
``epoch``                  which life of which Redis server holds all that should be there

A task that plugs in has lanes of its own, ``…:<slot>:<task>``: its jobs reach only the workers that can run it, and
stand in nobody's way while there is none. Of the lanes of one queue the lowest score goes first, as if they were one.

The bodies are arq's, under arq's own ``arq:job:`` keys, packed with MessagePack and never with pickle.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import chain, product, starmap
from typing import Any
from uuid import UUID

import msgspec
import structlog
from arq.connections import ArqRedis
from arq.jobs import SerializationError, deserialize_job_raw, serialize_job
from msgspec import Struct
from redis.asyncio import ConnectionPool, RedisError
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.errors import SetupError
from schemas.event import LiveEvent
from schemas.limits import PRIORITY_MAX
from schemas.queue import Queue, Slot
from schemas.stage import Hint, QueuedStage, Transition
from schemas.task import BUILT_IN_TASKS

log = structlog.get_logger()

STAGE_FUNCTION = "run_stage"
JOB_ID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:[0-9]{1,9}")
BODY_PREFIX = b"arq:job:"
ENQUEUE, CLAIM, PUT_BACK = (
    (files("app") / "lua" / f"{name}.lua").read_text("utf-8") for name in ("enqueue", "claim", "put_back")
)
BODY_LIFETIME_MS = 30 * 86_400 * 1000
IN_FLIGHT_MS = 10_000
PRIORITY_BOOST_MS = 30_000
"""How much longer a stage must have waited to overtake one whose pipeline has one more point of priority."""
STARVATION_MS = 300_000
"""A job of the highest priority that waited so long goes first, whatever its queue; others one boost a point later."""
STREAM_LENGTH = 100_000
DISPATCH_BATCH = 500
REDIS_AWAY = (RedisError, OSError)


class Job(Struct, frozen=True):
    """A popped job: the stage that it names may or may not still be there to be claimed.

    ``dispatch_token``: which time of its being queued it stands for.
    """

    id: str
    stage: UUID
    dispatch_token: int
    function: str
    score: float


def open_redis(url: str, *, blocking: bool = False) -> ArqRedis:
    """A client with bounded waits that reconnects by itself; ``blocking`` for calls that wait longer than 5 s.

    Raises:
        SetupError: the URL cannot be used.

    """
    options: dict[str, Any] = {} if url.startswith("unix:") else {"socket_keepalive": True}
    try:
        pool: ConnectionPool = ConnectionPool.from_url(
            url,
            socket_connect_timeout=3,
            socket_timeout=None if blocking else 5,
            health_check_interval=15,
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 3),
            retry_on_error=[BusyLoadingError, RedisConnectionError, RedisTimeoutError, OSError],
            max_connections=100,
            **options,
        )
    except ValueError as error:
        raise SetupError(f"HEADWAY_REDIS_URL cannot be used: {str(error).rstrip('.')}.") from None
    redis = ArqRedis(pool_or_conn=pool, job_serializer=msgspec.msgpack.encode, job_deserializer=msgspec.msgpack.decode)
    redis.auto_close_connection_pool = True  # or `aclose` would leave the connections of a given pool open
    return redis


class JobQueue:
    """All that Headway says to Redis and reads from it."""

    def __init__(self, redis: ArqRedis, prefix: str = "headway") -> None:
        self.redis = redis
        self.prefix = prefix
        self._in_flight, self._homes, self._lanes = map(self._key, ("inflight", "homes", "lanes"))
        self._enqueue, self._claim, self._put_back = map(redis.register_script, (ENQUEUE, CLAIM, PUT_BACK))

    def _key(self, *parts: str) -> str:
        return ":".join((self.prefix, *parts))

    async def prepare(self) -> None:
        """Connect and load the scripts, so that the first dispatch need not."""
        for script in (self._enqueue, self._claim, self._put_back):
            await self.redis.script_load(script.script)

    async def dispatch(self, stages: Sequence[QueuedStage]) -> int:
        """Put queued stages on their queues, idempotently; return how many were not there."""
        keys = [self._in_flight, self._lanes]
        return sum([await self._enqueue(keys=keys, args=batch) for batch in self._batches(stages)])

    async def announce(self, transition: Transition) -> None:
        """After a commit, in one round trip: dispatch what it queued and say on the streams what has news."""
        pipe = self.redis.pipeline(transaction=False)
        for batch in self._batches(transition.queued):
            pipe.eval(ENQUEUE, 2, self._in_flight, self._lanes, *batch)
        self._add_hints(pipe, transition.hints)
        await pipe.execute()

    def _batches(self, stages: Sequence[QueuedStage]) -> Iterator[list[Any]]:
        for start in range(0, len(stages), DISPATCH_BATCH):
            entries = map(self._entry, stages[start : start + DISPATCH_BATCH])
            yield [BODY_LIFETIME_MS, *chain.from_iterable(entries)]

    def _entry(self, stage: QueuedStage) -> tuple[str, str, str, float, bytes]:
        queued_at_ms = int(stage.queued_at.timestamp() * 1000)
        body = serialize_job(
            STAGE_FUNCTION,
            (str(stage.stage), stage.dispatch_token),
            {},
            None,
            queued_at_ms,
            serializer=msgspec.msgpack.encode,
        )
        return (
            *self._lane(stage.queue, stage.slot, "" if stage.task in BUILT_IN_TASKS else stage.task),
            f"{stage.stage}:{stage.dispatch_token}",
            queued_at_ms - stage.priority * PRIORITY_BOOST_MS,
            body,
        )

    def _lane(self, queue: str, slot: str, plug_in: str) -> tuple[str, str]:
        """A lane and its wake marker; ``plug_in`` is empty for the one that all built-in tasks share."""
        place = (queue, slot, plug_in) if plug_in else (queue, slot)
        return self._key("queue", *place), self._key("wake", *place)

    async def claim(self, free: Mapping[Slot, int], queues: Iterable[Queue], plug_ins: Sequence[str] = ()) -> list[Job]:
        """Pop jobs for a worker's free slots, by priority; they stay in flight until ``settle`` or ``put_back``.

        ``plug_ins`` names the tasks that it can run besides the built-in ones.
        """
        queues, tasks = list(queues), ["", *plug_ins]
        arguments: list[Any] = [IN_FLIGHT_MS, STARVATION_MS + PRIORITY_MAX * PRIORITY_BOOST_MS]
        for slot, count in free.items():
            arguments += [count, len(queues), len(tasks)]
            arguments += chain.from_iterable(self._lane(queue, slot, task) for queue in queues for task in tasks)
        popped = await self._claim(keys=[self._in_flight, self._homes, self._lanes], args=arguments)
        jobs = [_read_job(*popped[i : i + 3]) for i in range(0, len(popped), 3)]
        if garbage := [job_id for job_id, job in zip(popped[::3], jobs, strict=True) if job is None]:
            await self._drop_garbage(garbage)
        return [job for job in jobs if job is not None]

    async def _drop_garbage(self, job_ids: Sequence[bytes]) -> None:
        """Remove what nobody here has written; it would come back again and again."""
        entries = [job_id.decode(errors="replace") for job_id in job_ids[:10]]
        log.warning("garbage_in_queue", entries=entries, count=len(job_ids))
        pipe = self.redis.pipeline(transaction=False)
        self._add_settled(pipe, job_ids)
        await pipe.execute()

    async def settle(self, jobs: Iterable[Job], hints: Iterable[Hint] = ()) -> None:
        """Postgres has answered for these jobs: they are no longer in flight. Hints go along in the same round trip."""
        pipe = self.redis.pipeline(transaction=False)
        self._add_settled(pipe, [job.id.encode() for job in jobs])
        self._add_hints(pipe, hints)
        await pipe.execute()

    def _add_settled(self, pipe: Pipeline, job_ids: Sequence[Any]) -> None:
        if job_ids:
            pipe.zrem(self._in_flight, *job_ids)
            pipe.hdel(self._homes, *job_ids)
            pipe.delete(*(BODY_PREFIX + job_id for job_id in job_ids))

    async def put_back(self, jobs: Iterable[Job]) -> None:
        """Return jobs to their queues at their old place."""
        if ids := [job.id for job in jobs]:
            await self._put_back(keys=[self._in_flight, self._homes, self._lanes], args=ids)

    async def put_back_stale(self) -> int:
        """Return the jobs whose worker died between the pop and the claim."""
        returned: int = await self._put_back(keys=[self._in_flight, self._homes, self._lanes], args=[])
        return returned

    async def wait(
        self, slots: Iterable[Slot], queues: Iterable[Queue], timeout_s: float, plug_ins: Sequence[str] = ()
    ) -> None:
        """Block until there may be work on one of these queues, or the time is over; needs a blocking client."""
        places = product(queues, slots, ["", *plug_ins])
        markers = [wake for _, wake in starmap(self._lane, places)]
        async with asyncio.timeout(timeout_s + 5):  # should the server vanish without a word
            await self.redis.bzpopmin(markers, timeout_s)

    async def hint(self, hints: Iterable[Hint]) -> None:
        """Say on the streams that these pipelines have news."""
        await self.announce(Transition(hints=list(hints)))

    def _add_hints(self, pipe: Pipeline, hints: Iterable[Hint]) -> None:
        for hint in hints:
            news: dict[Any, Any] = {"p": str(hint.pipeline), "s": hint.seq}
            pipe.xadd(self._key("events"), news, maxlen=STREAM_LENGTH, approximate=True)
            if hint.releasable:
                pipe.xadd(self._key("completions"), {"i": hint.pipeline_id}, maxlen=STREAM_LENGTH, approximate=True)

    async def tell(self, events: Iterable[LiveEvent]) -> None:
        """Pass on what running stages report, for whoever watches just now."""
        pipe = self.redis.pipeline(transaction=False)
        for event in events:
            pipe.xadd(self._key("live"), {"e": msgspec.json.encode(event)}, maxlen=10_000, approximate=True)
        await pipe.execute()

    async def call_for_beats(self) -> None:
        """Ask every worker to beat now and not at its next turn: there is something to cancel."""
        await self.redis.publish(self._key("beat"), b"")

    async def calls_for_beats(self) -> AsyncIterator[None]:
        """Yield at each call for beats; needs a blocking client."""
        async with self.redis.pubsub() as pubsub:
            await pubsub.subscribe(self._key("beat"))
            async for _ in pubsub.listen():
                yield

    async def depths(self) -> dict[str, int]:
        """How many jobs wait in each queue, all its lanes together."""
        lanes = [lane.decode() async for lane in self.redis.sscan_iter(self._lanes)]
        pipe = self.redis.pipeline(transaction=False)
        for lane in lanes:
            pipe.zcard(lane)
        depths = dict.fromkeys(map(str, Queue), 0)
        for lane, count in zip(lanes, await pipe.execute(), strict=True):
            depths[lane.removeprefix(self._key("queue", "")).partition(":")[0]] += count
        return depths

    async def is_complete(self) -> bool:
        """Whether this is the same Redis life that the last full dispatch went to."""
        return bool(await self.redis.get(self._key("epoch")) == await self._run_id())

    async def mark_complete(self) -> None:
        """Every queued stage has been dispatched to this Redis life."""
        await self.redis.set(self._key("epoch"), await self._run_id())

    async def _run_id(self) -> bytes:
        return str((await self.redis.info("server"))["run_id"]).encode()


def _read_job(job_id: bytes, body: bytes, score: bytes) -> Job | None:
    """Read a popped entry; None if it is not of our making. Nothing in it is trusted, and nothing is unpickled."""
    try:
        function, *_ = deserialize_job_raw(body, deserializer=msgspec.msgpack.decode)
    except (SerializationError, TypeError):
        return None
    if not JOB_ID.fullmatch(job_id):
        return None
    name = job_id.decode()
    stage, _, dispatch_token = name.partition(":")
    return Job(name, UUID(stage), int(dispatch_token), function, float(score))


async def require_noeviction(redis: ArqRedis) -> None:
    """Check that Redis will not throw away jobs under memory pressure.

    Raises:
        SetupError: its policy is another one.

    """
    try:
        policy = (await redis.config_get("maxmemory-policy")).get("maxmemory-policy", "noeviction")
    except RedisError:
        return  # a managed Redis that hides CONFIG; doctor says so
    if policy != "noeviction":
        raise SetupError(
            f"Redis evicts keys when it is full (maxmemory-policy is {policy}), which loses jobs. "
            "Set maxmemory-policy to noeviction."
        )
