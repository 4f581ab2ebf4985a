"""Structured logs on standard error: lines for people on a terminal, one JSON object a line elsewhere.

No line holds a credential, whatever an exception or a library says: the secrets that the process knows are overwritten
wherever they stand, and so is what looks like one where others have the word.
"""

import json
import logging
import re
import sys
from typing import Any

import msgspec
import structlog

from penstock.cli.masking import Masking
from penstock.core.errors import ConfigError
from penstock.gateway.call_log import EACH

LEVELS = ("debug", "info", "warning", "error")

_OTHERS_WORDS = ("exception", "says", "error", "why")
"""The fields that hold words of exceptions and libraries, which may quote what they were given."""

_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029]")
"""What JSON lets stand, and terminals obey or take for the end of a line."""


def configure_logs(level: str) -> Masking:
    """Set the level and the form of all logs; return what is to be told which secrets there are.

    Raises:
        ConfigError: there is no such level.
    """
    if level not in LEVELS:
        raise ConfigError(f'--log-level: unknown level "{level}"; known: {", ".join(LEVELS)}')
    render: Any = structlog.processors.JSONRenderer(serializer=_encode)
    factory: Any = structlog.BytesLoggerFactory(sys.stderr.buffer)
    if sys.stderr.isatty():
        render, factory = _for_people(), structlog.WriteLoggerFactory(sys.stderr)
    mask = Masking()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _masked_words(mask),
            _rendered_each(render),
            _masked_line(mask),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Handler()], level=logging.WARNING)
    return mask


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


def _masked_words(mask: Masking) -> Any:
    def masked(_logger: object, _method: str, entry: dict[str, Any]) -> dict[str, Any]:
        for field in _OTHERS_WORDS:
            if isinstance(words := entry.get(field), str):
                entry[field] = mask.words(words)
        return entry

    return masked


def _rendered_each(render: Any) -> Any:
    """Return what renders an entry that stands for several as a line each."""

    def rendered(logger: object, method: str, entry: dict[str, Any]) -> str | bytes:
        several: list[dict[str, Any]] | None = entry.pop(EACH, None)
        if several is None:
            return render(logger, method, entry)
        lines = [render(logger, method, {**one, **entry}) for one in several]
        return (b"\n" if isinstance(lines[0], bytes) else "\n").join(lines)

    return rendered


def _masked_line(mask: Masking) -> Any:
    def masked(_logger: object, _method: str, rendered: str | bytes) -> str | bytes:
        return mask.line(rendered)

    return masked


def _encode(entry: dict[str, Any], **_: Any) -> bytes:
    try:
        line = msgspec.json.encode(entry, enc_hook=repr)
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(entry, default=repr).encode()
    if line.isascii() and b"\x7f" not in line:
        return line
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", line.decode()).encode()
