"""Every Prometheus metric of Headway, once, with the sentence that explains it.

They live in a registry of their own, so that a test can look at one process without what other libraries register.
Labels never hold ids or paths as clients wrote them: each distinct value would be a series kept for ever.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from app import __version__

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
