"""What the log says of providers that fail, for whoever is woken by it: why, and when one is passed over.

Only words of our own are written, and what a provider says of the credential that we have for it: the rest of what it
says may quote what a client asked.
"""

import re
import time

import structlog

from penstock.core.errors import ErrorInfo
from penstock.gateway.attempt import CREDENTIAL
from penstock.routing.health import Health

_OUR_WORDS = frozenset({CREDENTIAL, "bad_response", "connect_failed", "disconnected", "stream_incomplete"})
"""Codes of errors whose message says more than the code, and is ours."""

_CODE = re.compile(r"[\w.-]{1,64}", re.ASCII)

_log = structlog.get_logger("penstock.provider")


def failed(health: Health, upstream: str, error: ErrorInfo, request: str) -> None:
    """Note a failure of an upstream, and tell of it."""
    passed_over = health.failed(upstream, error.code or error.kind, time.monotonic())
    said = {"error": error.kind}
    if error.code is not None and _CODE.fullmatch(error.code):
        said["code"] = error.code
        if error.code in _OUR_WORDS:
            said["why"] = error.message
    _log.warning("provider_failed", request_id=request, upstream=upstream, **said)
    if passed_over is not None:
        _log.warning("provider_passed_over", upstream=upstream, seconds=round(passed_over))


def succeeded(health: Health, upstream: str) -> None:
    """Note an answer of an upstream that ended well, and tell if it was passed over before."""
    if health.succeeded(upstream):
        _log.warning("provider_well_again", upstream=upstream)
