"""Structured logs on standard error: lines for people on a terminal, one JSON object a line elsewhere."""

import logging
import sys

import structlog

from penstock.core.errors import ConfigError

LEVELS = ("debug", "info", "warning", "error")


def configure_logs(level: str) -> None:
    """Set the level and the form of all logs.

    Raises:
        ConfigError: there is no such level.
    """
    if level not in LEVELS:
        raise ConfigError(f'--log-level: unknown level "{level}"; known: {", ".join(LEVELS)}')
    for_people = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if for_people else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
