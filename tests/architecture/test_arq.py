"""``workers/worker.py`` overrides parts of arq that arq does not promise to keep: notice when they change."""

import hashlib
import inspect

import pytest
from arq.worker import Worker

SOURCES = {
    "main": "45ca1591c9717466",
    "start_jobs": "b45797cfa40bed7f",
    "run_job": "589a19059ff84ee7",
    "finish_job": "903f09c92830d3fd",
    "finish_failed_job": "3e16087f318a7acf",
    "heart_beat": "2e9959bea66dc551",
    "run_cron": "7d2d3784e6567fb2",
    "handle_sig": "985ff7ba01aa8f04",
    "close": "5bcc9cb356680829",
}


@pytest.mark.parametrize("name", SOURCES)
def test_the_sources_of_arq_that_the_worker_overrides_are_those_it_was_written_against(name: str):
    source = inspect.getsource(getattr(Worker, name))
    assert hashlib.sha256(source.encode()).hexdigest()[:16] == SOURCES[name], (
        f"arq's Worker.{name} has changed: read it again, adapt workers/worker.py, then record the new hash."
    )
