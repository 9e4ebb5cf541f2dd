"""Several processes: how they find each other, and what they say when one of them is gone."""

from app.core.diagnosis.rule import Reach, rule
from schemas.diagnosis import Category

_ANYWHERE = Reach.ANYWHERE
_PORT = "Port {port} is taken: let the port be chosen freely, or end what listens there."

RULES = (
    rule(
        Category.RENDEZVOUS_FAILURE,
        r"RendezvousTimeoutError|RendezvousConnectionError|Rendezvous(?:Closed|State)Error",
        "rendezvous",
    ),
    rule(
        Category.RENDEZVOUS_FAILURE,
        r"EADDRINUSE|Address already in use(?:[^\n]{0,40}?\bport:? (?P<port>\d+))?",
        "eaddrinuse",
        "address already in use",
        reach=_ANYWHERE,
        remedy=_PORT,
    ),
    rule(
        Category.RENDEZVOUS_FAILURE,
        r"Name or service not known|Temporary failure in name resolution|nodename nor servname|\bgaierror\b"
        r"|No address associated with hostname",
        "name or service",
        "name resolution",
        "servname",
        "gaierror",
        "associated with hostname",
    ),
    rule(
        Category.RENDEZVOUS_FAILURE,
        r"DistStoreError|client socket has timed out|waiting for clients? to (?:connect|join)",
        "diststoreerror",
        "client socket has timed out",
        "waiting for client",
    ),
    rule(
        Category.COLLECTIVE_TIMEOUT,
        r"Watchdog caught collective operation timeout|ProcessGroup(?:NCCL|Gloo)\b[^\n]{0,200}(?:timeout"
        r"|timed out|abort)",
        "watchdog",
        "processgroup",
        reach=_ANYWHERE,
        cascade=True,
    ),
    rule(
        Category.COLLECTIVE_TIMEOUT,
        r"\bNCCL\b[^\n]{0,120}(?:timeout|timed out|watchdog|abort|unhandled (?:system|cuda) error|remote process exited"
        r"|communicator)|DistBackendError",
        "nccl",
        "distbackenderror",
        reach=_ANYWHERE,
        cascade=True,
    ),
    rule(
        Category.COLLECTIVE_TIMEOUT,
        r"\bgloo\b[^\n]{0,160}(?:closed by peer|timed out|reset by peer)|Connection closed by peer",
        "gloo",
        "closed by peer",
        reach=_ANYWHERE,
        cascade=True,
    ),
    rule(
        Category.COLLECTIVE_TIMEOUT,
        r"ChildFailedError|\bMPI_ABORT was invoked|Primary job +terminated normally, but"
        r"|Sending process \d+ closing signal"
        r"|failed \(exitcode: -?\d+\) local_rank|BrokenBarrierError",
        "childfailederror",
        "mpi_abort",
        "primary job",
        "closing signal",
        "(exitcode: ",
        "brokenbarriererror",
        reach=_ANYWHERE,
        cascade=True,
    ),
    rule(
        Category.SIGKILL_UNCONFIRMED,
        r"(?:is killed by|terminated (?:with|by)) signal:? (?:SIGKILL|Killed|9\b)",
        "signal",
        reach=_ANYWHERE,
        cascade=True,
    ),
    rule(
        Category.NATIVE_CRASH,
        r"(?:is killed by|terminated (?:with|by)) signal:? (?:SIG(?:SEGV|ABRT|ILL|FPE)|Segmentation|Aborted)",
        "signal",
        reach=_ANYWHERE,
        cascade=True,
    ),
    rule(
        Category.NATIVE_CRASH,
        r"BrokenProcessPool|DataLoader worker \(pid[^\n]{0,60}exited unexpectedly",
        "brokenprocesspool",
        "exited unexpectedly",
        cascade=True,
    ),
)
