"""Structured logs on standard error: lines for people on a terminal, one JSON object a line elsewhere."""

import logging
import sys
from typing import Any

import msgspec
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
    render: Any = structlog.processors.JSONRenderer(serializer=_encode)
    factory: Any = structlog.BytesLoggerFactory(sys.stderr.buffer)
    if sys.stderr.isatty():
        render, factory = _for_people(), structlog.WriteLoggerFactory(sys.stderr)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)


def _for_people() -> structlog.dev.ConsoleRenderer:
    # Texts are quoted, for a terminal obeys what a client puts into them; tracebacks are plain, for the others show
    # the values of variables, among which are keys.
    return structlog.dev.ConsoleRenderer(
        repr_native_str=True, exception_formatter=structlog.dev.plain_traceback, colors=True
    )


def _encode(entry: dict[str, Any], **_: Any) -> bytes:
    return msgspec.json.encode(entry, enc_hook=repr)
