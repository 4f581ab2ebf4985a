"""Traces of requests, if they are wanted. Those who do not want them need not even install what makes them.

tracing = open_tracing(config.telemetry.otlp)
with tracing.request(request_id, "chat", request.headers) as headers:      what to send to the provider
    ...                                                                    observe(ended) comes in between
"""

import importlib.util
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from penstock.core.errors import ConfigError
from penstock.gateway.observer import Ended

NOTHING: Mapping[str, str] = {}


_UNTRACED = nullcontext(NOTHING)


class Tracing(Protocol):
    """Makes a span of each request."""

    def request(
        self, request_id: str, operation: str, headers: Mapping[str, str]
    ) -> AbstractContextManager[Mapping[str, str]]:
        """Trace what is done within; gives the headers by which the provider can go on with the trace.

        Args:
            request_id: what `observe` will know the request by.
            operation: `gen_ai.operation.name`.
            headers: of the client's request, names in lower case.
        """
        ...

    def observe(self, ended: Ended) -> None:
        """Note what a request came to."""
        ...

    def close(self) -> None:
        """Export what was not exported yet. Waits for the network."""
        ...


class Untraced:
    """No traces."""

    def request(
        self, request_id: str, operation: str, headers: Mapping[str, str]
    ) -> AbstractContextManager[Mapping[str, str]]:
        """Trace nothing, and send nothing."""
        return _UNTRACED

    def observe(self, ended: Ended) -> None:
        """Note nothing."""

    def close(self) -> None:
        """Have nothing to export."""


def open_tracing(otlp: bool) -> Tracing:
    """Return what traces requests; with `otlp` it exports as the variables OTEL_* say.

    Raises:
        ConfigError: the extra `otel` is not installed.
    """
    if not otlp:
        return Untraced()
    try:
        found = importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise ConfigError('telemetry.otlp: install the extra for it: pip install "penstock[otel]"')
    from penstock.server.opentelemetry import exporting  # noqa: PLC0415 - it takes half a second

    return exporting()
