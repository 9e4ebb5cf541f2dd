"""Whether more processes do more on the same servers, and what each group of them costs the processors."""

import time
from statistics import median

from bench import headway
from bench.fleet import Fleet, cores, grown
from bench.headway import Installation
from bench.measures import submit
from bench.workloads import WORKLOADS

WORKERS, SCHEDULERS, APIS = (1, 2, 4), (1, 2), (1, 2)
SHAPES = {"fan-1000": ("fan-1000", 1), "diamonds-250": ("diamonds-250", 1), "4 × diamonds-250": ("diamonds-250", 4)}
"""A workload and how many pipelines of it run at once: one pipeline is one lock, four are four."""
RUNS = 5


def measure(installation: Installation) -> dict[str, float]:
    """Stages and submits a second, and the processors that each group of processes kept busy meanwhile."""
    told: dict[str, float] = {}
    for schedulers in SCHEDULERS:
        for workers in WORKERS:
            with grown(installation, workers=workers, schedulers=schedulers) as fleet:
                for shape in SHAPES:
                    name = f"{shape} · {workers} worker · {schedulers} scheduler"
                    told |= {f"{name}: {what}": figure for what, figure in _stages(installation, fleet, shape).items()}
    for apis in APIS:
        with grown(installation, apis=apis) as fleet:
            told |= {f"submit · {apis} API: {what}": figure for what, figure in _submits(fleet).items()}
    return told


def _stages(installation: Installation, fleet: Fleet, shape: str) -> dict[str, float]:
    _run(installation, fleet, shape)
    runs = [_run(installation, fleet, shape) for _ in range(RUNS)]
    return {what: median(run[what] for run in runs) for what in runs[0]}


def _run(installation: Installation, fleet: Fleet, shape: str) -> dict[str, float]:
    name, at_once = SHAPES[shape]
    stages = len(WORKLOADS[name].shape())
    paths = [headway.create(installation.client, name, WORKLOADS[name]) for _ in range(at_once)]
    before = fleet.spent()
    took_s = headway.run(installation.client, paths, stages)
    return {"stages/s": at_once * stages / took_s} | cores(before, fleet.spent(), took_s)


def _submits(fleet: Fleet) -> dict[str, float]:
    before, started = fleet.spent(), time.perf_counter()
    rate = submit.rate(fleet.ports)
    return {"pipelines/s": rate} | cores(before, fleet.spent(), time.perf_counter() - started)
