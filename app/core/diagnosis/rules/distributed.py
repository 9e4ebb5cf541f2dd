"""Several processes: how they find each other, and what they say when one of them is gone."""

from app.core.diagnosis.rule import Reach, rule
from schemas.diagnosis import Category

_ANYWHERE = Reach.ANYWHERE
_PORT = "Port {port} is taken: let the port be chosen freely, or end what listens there."
_SIGNALLED = (
    (Category.SIGKILL_UNCONFIRMED, "SIGKILL|Killed|9\\b", "Killed"),
    (Category.SHM_EXHAUSTED, "SIGBUS|Bus error", "Bus error"),
    (
        Category.NATIVE_CRASH,
        "SIG(?:SEGV|ABRT|ILL|FPE)|Segmentation|Aborted",
        "Segmentation fault|Aborted|Illegal instruction|Floating point exception",
    ),
)
"""What others say of a process that a signal has ended: Python's libraries, and shells."""

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
        reach=Reach.LAST,
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
    *(
        rule(
            category,
            rf"(?:is killed by|terminated (?:with|by)|died with) (?:signal:? )?<?(?:Signals\.)?(?:{signals})"
            rf"|^[^\n]{{1,80}}: line \d+: +\d+ (?:{words})\b",
            "killed by",
            "terminated ",
            "died with",
            ": line ",
            reach=_ANYWHERE,
            cascade=True,
        )
        for category, signals, words in _SIGNALLED
    ),
    rule(
        Category.USER_EXCEPTION,
        r"CalledProcessError: [^\n]*returned non-zero exit status|ProcessRaisedException",
        "calledprocesserror",
        "processraisedexception",
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
