"""Every Prometheus metric of Headway, once, with the sentence that explains it.

They live in a registry of their own, so that a test can look at one process without what other libraries register.
Labels never hold ids or paths as clients wrote them: each distinct value would be a series kept for ever.
"""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from app import __version__
from schemas.pace import RunningTotals
from schemas.periodic import PeriodicTask

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

build = Info("headway_build", "Which version of Headway this process runs.", registry=REGISTRY)
build.info({"version": __version__})

http_requests = Counter(
    "headway_http_requests_total",
    "HTTP requests answered, by route template, method and status; health checks and metrics are left out.",
    ["route", "method", "status"],
    registry=REGISTRY,
)
http_request_duration = Histogram(
    "headway_http_request_duration_seconds",
    "Time from the first byte of a request to the last byte of its answer; event streams are left out.",
    ["route", "method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
sse_clients = Gauge(
    "headway_sse_clients",
    "Event streams that are open on this process.",
    registry=REGISTRY,
)
dispatch_failures = Counter(
    "headway_dispatch_failures_total",
    "Commits whose dispatch or hint did not reach Redis in time; the scheduler's sweep makes up for each.",
    registry=REGISTRY,
)
running_stages = Gauge(
    "headway_running_stages",
    "Stages that run, by task; counted once a minute, like the four below, and of the 100 tasks of which most runs.",
    ["task"],
    registry=REGISTRY,
)
running_stages_reporting = Gauge(
    "headway_running_stages_reporting",
    "Running stages that have reported progress.",
    ["task"],
    registry=REGISTRY,
)
running_stages_silent = Gauge(
    "headway_running_stages_silent",
    "Running stages that have reported progress and have then missed three reports, and three minutes.",
    ["task"],
    registry=REGISTRY,
)
running_steps_per_second = Gauge(
    "headway_running_steps_per_second",
    "Steps that the running stages of a task do in a second, all together, as they report them.",
    ["task"],
    registry=REGISTRY,
)
running_eta_seconds = Gauge(
    "headway_running_eta_seconds",
    "The longest time that a running stage of a task has to go, as far as they tell.",
    ["task"],
    registry=REGISTRY,
)


def show_running(totals: Iterable[RunningTotals]) -> None:
    """Set the gauges of what runs; what runs no more has none."""
    for gauge in (
        running_stages,
        running_stages_reporting,
        running_stages_silent,
        running_steps_per_second,
        running_eta_seconds,
    ):
        gauge.clear()
    for each in totals:
        running_stages.labels(each.task).set(each.running)
        running_stages_reporting.labels(each.task).set(each.reporting)
        running_stages_silent.labels(each.task).set(each.silent)
        running_steps_per_second.labels(each.task).set(each.steps_per_s)
        if each.eta_s is not None:
            running_eta_seconds.labels(each.task).set(each.eta_s)


class _PeriodicTasks(Collector):
    """What Postgres tells of periodic tasks; a counter among it goes on where it was when this process starts."""

    tasks: Sequence[PeriodicTask] = ()

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """As the registry asks for it."""
        succeeded = GaugeMetricFamily(
            "headway_periodic_task_last_success_timestamp_seconds",
            "When a periodic task last completed, in seconds since 1970.",
            labels=["task"],
        )
        missed = CounterMetricFamily(
            "headway_periodic_task_missed",
            "Slots of a periodic task that went by without a worker to run them.",
            labels=["task"],
        )
        for task in self.tasks:
            missed.add_metric([task.name], task.missed)
            if task.last_success_at is not None:
                succeeded.add_metric([task.name], task.last_success_at.timestamp())
        yield succeeded
        yield missed


_periodic_tasks = _PeriodicTasks()
REGISTRY.register(_periodic_tasks)


def show_periodic(tasks: Sequence[PeriodicTask]) -> None:
    """Tell of these periodic tasks from now on."""
    _periodic_tasks.tasks = tasks
