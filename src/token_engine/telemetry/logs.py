"""Log lines as the specification shows them: `INFO message key=value`."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger


def configure() -> None:
    """Send structlog and the standard library's logging to standard output in one form."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stdout)


def _line(_: WrappedLogger, __: str, event: EventDict) -> str:
    level, message = str(event.pop("level")).upper(), event.pop("event")
    trace = event.pop("exception", "")
    pairs = "".join(f" {key}={value}" for key, value in event.items())
    return f"{level} {message}{pairs}" + (f"\n{trace}" if trace else "")


def logger() -> Any:
    """The engine's log."""
    return structlog.get_logger()
