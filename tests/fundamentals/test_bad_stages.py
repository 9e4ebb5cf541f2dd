"""Stages behave as they like; neither their worker nor the stages beside them come to harm."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.installation import Headway, Installation, noop, stage_of
from tests.support.processes import Oracle

TALKATIVE = "line = b'x' * 99_999 + b'\\n'\nfor _ in range(1_000): os.write(1, line)"


@pytest.fixture(autouse=True)
async def _the_worker_and_its_neighbours_are_well(installation: Installation) -> AsyncIterator[None]:
    """After each test: every process is the one that was started, and the worker's lease was never lost."""
    yield
    assert all(process.is_running for process in installation.processes)
    assert [row["state"] for row in await installation.query("SELECT state FROM workers")] == ["live"]


async def neighbour_completes(headway: Headway, oracle: Oracle) -> None:
    """While the bad stage runs, another pipeline does as always."""
    pipeline = await headway.run(noop("a"), oracle.stage("b", "", depends_on=["a"]), noop("c", "b"))
    assert pipeline.status == "completed"


async def ended(headway: Headway, oracle: Oracle, code: str, **fields: Any) -> dict[str, Any]:
    """Run a bad stage to its end, with a neighbour beside it; returns its error."""
    pipeline = await headway.submit(oracle.stage("bad", f"say('runs'); wait_for('go')\n{code}", **fields))
    await oracle.heard("runs")
    oracle.say("go")
    await neighbour_completes(headway, oracle)
    return stage_of(await headway.ended(pipeline), "bad").error or {}


async def test_one_that_computes_without_end(headway: Headway, oracle: Oracle):
    error = await ended(headway, oracle, "while True: pass", timeout=2)
    assert error["code"] == "timed_out"


async def test_one_that_prints_100_mb(headway: Headway, oracle: Oracle, installation: Installation):
    pipeline = await headway.submit(oracle.stage("bad", TALKATIVE))
    await neighbour_completes(headway, oracle)

    talkative = await headway.ended(pipeline)

    assert talkative.status == "completed"
    log = installation.artifacts(talkative, "bad") / "log.txt"
    bytes_max = installation.settings["stage_log_bytes_max"]
    assert bytes_max < log.stat().st_size < bytes_max + 200_000


async def test_one_that_ignores_sigterm(headway: Headway, oracle: Oracle):
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)"
    error = await ended(headway, oracle, code, timeout=1)
    assert error["code"] == "timed_out"


async def test_one_that_forks_children_which_go_their_own_way(headway: Headway, oracle: Oracle):
    code = "for _ in range(50):\n    if os.fork() == 0: os.setsid(); forever()"
    assert await ended(headway, oracle, code) == {}


async def test_one_that_returns_a_nul_byte(headway: Headway, oracle: Oracle):
    error = await ended(headway, oracle, "report(type='result', values={'text': 'a\\0b'})", max_retries=3)
    assert error["code"] == "result_invalid"


async def test_one_that_returns_more_than_can_be_stored(headway: Headway, oracle: Oracle):
    error = await ended(headway, oracle, "report(type='result', values={'text': 'x' * 300_000})")
    assert error["code"] == "result_invalid"


async def test_one_that_reports_nonsense(headway: Headway, oracle: Oracle):
    code = """
for line in ("nonsense", "[]", '{"type": "progress", "step": NaN, "total": 0}', '{"type": "metrics", "loss": 1e999}'):
    open(os.environ["HEADWAY_EVENTS"], "a").write(line + "\\n")
report(type="checkpoint", path="x\\0", step=2**70)
report(type="checkpoint", path="x\\0", step=1)
"""
    assert await ended(headway, oracle, code) == {}


async def test_one_that_floods_us_with_reports(headway: Headway, oracle: Oracle):
    code = """
lines = b"".join(b'{"type": "metrics", "step": %d, "values": {"loss": 0.5}}\\n' % step for step in range(20_000))
with open(os.environ["HEADWAY_EVENTS"], "ab") as events:
    for _ in range(15): events.write(lines)
"""
    assert await ended(headway, oracle, code) == {}


async def test_one_that_is_killed_by_the_kernel(headway: Headway, oracle: Oracle):
    error = await ended(headway, oracle, "os.kill(os.getpid(), signal.SIGKILL)")
    assert (error["code"], error["signal"]) == ("killed_by_signal", 9)


async def test_one_that_exits_with_137_as_a_shell_does_for_a_killed_child(headway: Headway, oracle: Oracle):
    error = await ended(headway, oracle, "sys.exit(137)")
    assert (error["code"], error["signal"]) == ("killed_by_signal", 9)


async def test_one_that_kills_its_own_supervisor(headway: Headway, oracle: Oracle):
    error = await ended(headway, oracle, "os.kill(os.getppid(), signal.SIGKILL); forever()")
    assert error["code"] == "killed_by_signal"
    assert "supervisor" in error["message"]


async def test_one_that_removes_its_run_directory(headway: Headway, oracle: Oracle):
    code = "import shutil; shutil.rmtree(os.environ['HEADWAY_RUN_DIR'])"
    assert await ended(headway, oracle, code) == {}
