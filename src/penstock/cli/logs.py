"""Structured logs on standard error: lines for people on a terminal, one JSON object a line elsewhere.

No line holds a credential, whatever an exception or a library says: what looks like one is overwritten.
"""

import json
import logging
import re
import sys
from typing import Any

import msgspec
import structlog

from penstock.core.errors import ConfigError
from penstock.upstreams.redact import mask_keys

LEVELS = ("debug", "info", "warning", "error")

_URL_PASSWORD = re.compile(r"(?<=://)([^/\s:@\"']*):[^/\s@\"']+@")

_OTHERS_WORDS = ("exception", "says")
"""The fields that hold words of exceptions and libraries, which may quote what they were given."""

_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029]")
"""What JSON lets stand, and terminals obey or take for the end of a line."""


def configure_logs(level: str) -> None:
    """Set the level and the form of all logs.

    Raises:
        ConfigError: there is no such level.
    """
    if level not in LEVELS:
        raise ConfigError(f'--log-level: unknown level "{level}"; known: {", ".join(LEVELS)}')
    render: Any = structlog.processors.JSONRenderer(serializer=_encode)
    factory: Any = structlog.BytesLoggerFactory(sys.stderr.buffer)
    before: list[Any] = [structlog.processors.format_exc_info, _without_credentials]
    if sys.stderr.isatty():
        render, factory, before = _for_people(), structlog.WriteLoggerFactory(sys.stderr), []
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *before,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Handler()], level=logging.WARNING)


class _Handler(logging.Handler):
    """Writes what libraries log as a line like all others."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        structlog.get_logger("penstock.library").log(
            record.levelno, "library", name=record.name, says=record.getMessage(), exc_info=record.exc_info
        )


def _for_people() -> structlog.dev.ConsoleRenderer:
    # Texts are quoted, for a terminal obeys what a client puts into them; tracebacks are plain, for the others show
    # the values of variables, among which are keys.
    return structlog.dev.ConsoleRenderer(
        repr_native_str=True, exception_formatter=structlog.dev.plain_traceback, colors=True
    )


def _without_credentials(_logger: object, _method: str, entry: dict[str, Any]) -> dict[str, Any]:
    for field in _OTHERS_WORDS:
        if isinstance(words := entry.get(field), str):
            masked = mask_keys(words.encode("utf-8", "backslashreplace")).decode()
            entry[field] = _URL_PASSWORD.sub(r"\1:[key]@", masked)
    return entry


def _encode(entry: dict[str, Any], **_: Any) -> bytes:
    try:
        line = msgspec.json.encode(entry, enc_hook=repr)
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(entry, default=repr).encode()
    if line.isascii() and b"\x7f" not in line:
        return line
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", line.decode()).encode()
