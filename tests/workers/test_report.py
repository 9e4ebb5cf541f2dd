"""What a stage reports, sense or nonsense: it never disturbs the stage, nor the reports of others."""

import json

import pytest

from app.errors import Unavailable
from app.services import series
from schemas.stage import Claim
from workers import report
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
    {"type": "checkpoint", "path": 5},
    {"type": "checkpoint", "path": "x", "step": 10**400},
]


class Live:
    """Hears what is passed on, and could encode it."""

    def __init__(self) -> None:
        self.told = []

    def put(self, _claim, kind, data):
        self.told.append((str(kind), json.loads(json.dumps(data, allow_nan=False))))


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
