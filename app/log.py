"""Logging, configured once per process: structured events on stderr, as JSON lines or pretty for a person.

Whatever libraries say through ``logging`` comes out the same way.
"""

import logging
import re
import sys
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_SECRET_KEY = re.compile(r"token|password|secret|authorization|api_key", re.IGNORECASE)
_NO_SECRET = frozenset({"lease_token", "dispatch_token"})
_URL_PASSWORD = re.compile(r"(\w+://[^\s/:@]*):[^\s/]+@")
_QUERY_PASSWORD = re.compile(r"([?&]\w*(?:password|passwd|secret|token)\w*=)[^\s&#]+", re.IGNORECASE)


def configure(log_format: Literal["json", "pretty"] | None, level: str) -> None:
    """Set up logging for this process; without a format it is pretty on a terminal and JSON elsewhere."""
    pretty = log_format == "pretty" or (log_format is None and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _drop_colours,
        mask_secrets,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=_ending(pretty=pretty), foreign_pre_chain=shared)
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # It tells of an outage again and again, with a traceback; whoever uses the pool tells of it once.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


class Outage:
    """Says once that a server is away, and once that it is back, however often it is asked in between."""

    def __init__(self, log: Any, event: str) -> None:
        self._log, self.event = log, event
        self._lasts = False

    def note(self, error: BaseException, **facts: object) -> None:
        """It did not answer."""
        if not self._lasts:
            self._lasts = True
            self._log.warning(self.event, error=told(error), **facts)

    def end(self) -> None:
        """It has answered."""
        if self._lasts:
            self._lasts = False
            self._log.info(f"{self.event}_no_longer")


def told(error: BaseException) -> str:
    """What an error says; some say nothing but their name."""
    return str(error) or type(error).__name__


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what must not be read in a log: values under telling names, and passwords in URLs."""
    return {
        key: "***" if _SECRET_KEY.search(key) and key not in _NO_SECRET else _masked(value)
        for key, value in event.items()
    }


def mask_passwords(text: str) -> str:
    """Replace the passwords of the URLs in a text."""
    return _QUERY_PASSWORD.sub(r"\1***", _URL_PASSWORD.sub(r"\1:***@", text))


def _drop_colours(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Uvicorn says everything twice, once in colour."""
    event.pop("color_message", None)
    return event


def _masked(value: Any) -> Any:
    return mask_passwords(value) if isinstance(value, str) else value


def _ending(*, pretty: bool) -> list[Processor]:
    renderer: Processor = structlog.processors.JSONRenderer(default=str)
    if pretty:
        # Not the formatter with local variables: they may hold secrets.
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
