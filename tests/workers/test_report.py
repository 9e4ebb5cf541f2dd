"""What a stage reports, sense or nonsense: it never disturbs the stage, nor the reports of others."""

import asyncio
from types import SimpleNamespace
from uuid import UUID

import msgspec
import pytest
from structlog.testing import capture_logs

from app.errors import Unavailable
from app.services import series
from schemas.event import LiveType
from schemas.stage import Claim
from workers import process, publish, report
from workers.contract import EventTail
from workers.publish import LiveReports
from workers.report import Reporter
from workers.room import Attempt, Room

NONSENSE = [
    {},
    {"type": None},
    {"type": "metrics", "values": [1]},
    {"type": "metrics", "values": "loss"},
    {"type": "metrics", "values": None},
    {"type": "metrics", "values": {"loss": 10**400}},
    {"type": "metrics", "step": 10**400, "values": {"loss": {}}},
    {"type": "metrics", "values": {"\ud800": 1}},
    {"type": "progress", "step": 10**400, "total": 1},
    {"type": "progress", "step": 1, "total": 0},
    {"type": "progress", "step": "1", "total": 2},
    {"type": "progress", "step": 1, "total": 1e400},
    {"type": "checkpoint", "path": 5},
    {"type": "checkpoint", "path": "x", "step": 10**400},
]


class Live:
    """Hears what is passed on, and could encode it."""

    def __init__(self) -> None:
        self.told = []

    def put(self, _claim, kind, data):
        self.told.append((str(kind), msgspec.json.decode(msgspec.json.encode(data))))


@pytest.fixture
def recorded(monkeypatch):
    """Every report that reaches Postgres; while ``away`` is set none does."""
    reports = []

    async def record(_pool, told):
        if recorded.away:
            raise Unavailable("away")
        reports.append(told)

    recorded = type("Recorded", (), {"away": False, "reports": reports})
    monkeypatch.setattr(series, "record", record)
    return recorded


@pytest.fixture
def reporter(settings, pool, queue):
    fields = dict.fromkeys(Claim.__struct_fields__, 0) | {"params": {}, "references": {}, "started_at": 1e9}
    room = Room(worker=None, settings=settings, pool=pool, queue=queue, tasks={})
    return Reporter(room, Attempt(Claim(**fields)), Live())


@pytest.mark.parametrize("line", NONSENSE, ids=str)
async def test_nonsense_is_left_out(reporter, recorded, line):
    reporter.take(line)
    await reporter.close()
    assert [data for kind, data in reporter.live.told if data.get("metrics")] == []
    assert recorded.reports == []


async def test_metrics_are_passed_on_and_written(reporter, recorded):
    reporter.take({"type": "metrics", "step": 3, "values": {"loss": 0.5, "nan": float("nan")}})
    reporter.take({"type": "metrics", "loss": 0.25, "step": 4})
    await reporter.close()
    assert [data for _, data in reporter.live.told] == [
        {"step": 3, "metrics": {"loss": 0.5}},
        {"step": 4, "metrics": {"loss": 0.25}},
    ]
    (told,) = recorded.reports
    assert [(point.step, point.value) for point in told.series[0].points] == [(3, 0.5), (4, 0.25)]
    assert all(1e9 <= point.at < 1e9 + 60 for point in told.series[0].points)


async def test_progress_is_told_with_the_speed_and_the_time_to_go(reporter, monkeypatch):
    told = []

    async def report_progress(_pool, reports):
        told.extend(reports)

    monkeypatch.setattr(report.stages, "report_progress", report_progress)
    clock = iter([0, 10, 20])
    monkeypatch.setattr(report, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    for step, eta_s in ((10, None), (30, None), (50, 7)):
        reporter.take({"type": "progress", "step": step, "total": 100, "eta_s": eta_s})
    await reporter.close()
    shown = [(data["steps_per_s"], data["eta_s"]) for _, data in reporter.live.told]
    assert shown == [(None, None), (2, 35), (2, 7)]
    assert [(each.progress, each.step, each.steps_per_s, each.eta_s) for each in told] == [(0.5, 50, 2, 7)]


async def test_what_postgres_could_not_take_is_written_later(reporter, recorded, monkeypatch):
    monkeypatch.setattr(report, "INTERVAL_S", 0.01)
    recorded.away = True
    reporter.take({"type": "metrics", "step": 1, "values": {"loss": 1}})
    await reporter._flush()
    recorded.away = False
    reporter.take({"type": "metrics", "step": 2, "values": {"loss": 2}})
    await reporter.close()
    points = [point for told in recorded.reports for each in told.series for point in each.points]
    assert [point.step for point in points] == [1, 2]


class Broken:
    """A service with a bug."""

    def __init__(self) -> None:
        self.called = asyncio.Queue()

    async def __call__(self, *_: object) -> None:
        self.called.put_nowait(1)
        raise RuntimeError("a bug")


@pytest.mark.parametrize(
    "line",
    [
        {"type": "metrics", "step": 10**300, "values": {"loss": 10**300}},
        {"type": "progress", "step": 1, "total": 2, "epoch": 10**30},
        {"type": "progress", "step": 1, "total": 2, "eta_s": float("nan")},
    ],
    ids=str,
)
async def test_no_number_is_passed_on_that_readers_of_json_cannot_hold(reporter, recorded, line):
    reporter.take(line)
    await reporter.close()
    for _, data in reporter.live.told:
        numbers = [*data.values(), *data.get("metrics", {}).values()]
        assert not any(isinstance(number, int) and abs(number) >= 2**63 for number in numbers)


async def test_a_checkpoint_that_cannot_be_stored_does_not_stand_in_the_way_of_the_next(reporter, monkeypatch):
    stored = []

    async def record(_pool, reports):
        stored.extend(msgspec.json.decode(msgspec.json.encode(list(reports))))

    monkeypatch.setattr(report.checkpoints, "record", record)
    reporter.take({"type": "checkpoint", "path": "/\ud800", "step": 1})
    reporter.take({"type": "checkpoint", "path": "/x/step-2", "step": 2})
    await reporter.close()
    assert [each["path"] for each in stored] == ["/x/step-2"]


async def test_a_bug_in_storing_reports_is_logged_and_harms_neither_stage_nor_later_reports(reporter, monkeypatch):
    broken = Broken()
    monkeypatch.setattr(report, "INTERVAL_S", 0.01)
    monkeypatch.setattr(report.stages, "report_progress", broken)
    with capture_logs() as logs:
        reporter.take({"type": "progress", "step": 1, "total": 2})
        await broken.called.get()
        reporter.take({"type": "progress", "step": 2, "total": 2})
        await reporter.close()
    await broken.called.get()
    assert [entry["event"] for entry in logs] == ["reports_not_written"] * 2


async def test_a_bug_in_taking_a_report_is_logged_and_harms_no_stage(reporter):
    reporter.live.put = lambda *_: {}[0]
    with capture_logs() as logs:
        reporter.take({"type": "progress", "step": 1, "total": 2})
    assert [entry["event"] for entry in logs] == ["report_failed"]


async def test_a_report_that_cannot_be_told_takes_none_of_others_with_it(queue, monkeypatch):
    monkeypatch.setattr(publish, "LIVE_INTERVAL_S", 0.0)
    live = LiveReports(queue)
    fields = dict.fromkeys(Claim.__struct_fields__, 0) | {"pipeline": UUID(int=1), "name": "a"}
    live.put(Claim(**fields | {"stage": UUID(int=1)}), LiveType.STAGE_METRICS, {"metrics": {"loss": 0.5}})
    with pytest.raises(ValueError, match="surrogates"):
        live.put(Claim(**fields | {"stage": UUID(int=2)}), LiveType.STAGE_METRICS, {"metrics": {"\ud800": 0.5}})
    await live._flusher
    assert await queue.redis.xlen("headway:live") == 1


async def test_a_follower_goes_on_after_a_bug_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "FOLLOW_S", 0.01)
    monkeypatch.setattr(process, "FOLLOW_AGAIN_S", 0.01)
    taken = asyncio.Queue()

    class Once:
        def take(self, line):
            taken.put_nowait(line["step"])
            if line["step"] == 1:
                raise RuntimeError("a bug")

    events = tmp_path / "events.jsonl"
    events.write_text('{"type": "progress", "step": 1, "total": 2}\n')
    follower = process.Follower(EventTail(events), Once())
    with capture_logs() as logs:
        following = asyncio.create_task(follower.follow())
        async with asyncio.timeout(10):
            assert await taken.get() == 1
            with events.open("a") as file:
                file.write('{"type": "progress", "step": 2, "total": 2}\n')
            assert await taken.get() == 2
        following.cancel()
    assert [entry["event"] for entry in logs] == ["follower_failed"]
