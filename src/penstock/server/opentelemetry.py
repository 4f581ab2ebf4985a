"""Spans and metrics for OpenTelemetry, in its words for generative AI. Imported only where they are wanted.

Names are those of the semantic conventions for generative AI (docs/gen-ai/gen-ai-spans.md and gen-ai-metrics.md of
open-telemetry/semantic-conventions). No content is recorded, whatever the environment says: nobody here has any.
"""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from penstock import __version__
from penstock.core.errors import Fault
from penstock.gateway.observer import Ended

TOKEN_BOUNDS = tuple(4**power for power in range(14))
"""Tokens; these and the next are the conventions'."""

DURATION_BOUNDS = tuple(0.01 * 2**power for power in range(14))
"""Seconds."""

FIRST_TOKEN_BOUNDS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
"""Seconds."""

_NANO = 1e-9

_PROPAGATOR = TraceContextTextMapPropagator()

_Attributes = dict[str, str | int | float | bool | tuple[str, ...]]


class OpenTelemetry:
    """Makes spans and measures."""

    def __init__(self, spans: SpanProcessor | None, metrics: MetricReader | None) -> None:
        """Hand spans and metrics to these; None for those that nobody wants."""
        resource = _resource()
        self._traces = TracerProvider(resource=resource)
        if spans is not None:
            self._traces.add_span_processor(spans)
        self._tracer = self._traces.get_tracer("penstock", __version__)
        self._meters = MeterProvider([] if metrics is None else [metrics], resource=resource)
        meter = self._meters.get_meter("penstock", __version__)
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=TOKEN_BOUNDS,
        )
        self._seconds = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "GenAI operation duration.",
            explicit_bucket_boundaries_advisory=DURATION_BOUNDS,
        )
        self._first_token = meter.create_histogram(
            "gen_ai.server.time_to_first_token",
            "s",
            "Time to generate first token for successful responses.",
            explicit_bucket_boundaries_advisory=FIRST_TOKEN_BOUNDS,
        )
        self._open: dict[str, tuple[Span, str]] = {}

    @contextmanager
    def request(self, request_id: str, operation: str, headers: Mapping[str, str]) -> Generator[Mapping[str, str]]:
        """Make a span of what is done within. The provider is told its id, and nothing of what led to it."""
        span = self._tracer.start_span(
            operation,
            _PROPAGATOR.extract(headers),
            SpanKind.SERVER,
            {"gen_ai.operation.name": operation, "penstock.request.id": request_id},
        )
        self._open[request_id] = span, operation
        told: dict[str, str] = {}
        _PROPAGATOR.inject(told, set_span_in_context(span))
        told.pop("tracestate", None)  # it is between the client and its own tools
        try:
            yield told
        except Fault as fault:
            _failed(span, fault.info.kind)
            raise
        except Exception:
            _failed(span, "internal")
            raise
        finally:
            del self._open[request_id]
            span.end()

    def observe(self, ended: Ended) -> None:
        """Note what a request came to, in its span and in the metrics."""
        span, operation = self._open.get(ended.request, (None, "chat"))
        if span is not None and span.is_recording():
            span.update_name(f"{operation} {ended.model}")
            span.set_attributes(_described(ended))
            if ended.end not in ("completed", "client_gone"):
                _failed(span, ended.error or ended.end)
        self._measure(ended, operation)

    def close(self) -> None:
        """Export what was not exported yet. Waits for the network."""
        self._traces.shutdown()
        self._meters.shutdown()

    def _measure(self, ended: Ended, operation: str) -> None:
        labels: _Attributes = {"gen_ai.operation.name": operation, "gen_ai.provider.name": ended.provider}
        if ended.end == "completed" or ended.first_output is not None:
            # Under other names nobody answered: clients can make up any number of them.
            labels["gen_ai.request.model"] = labels["gen_ai.response.model"] = ended.upstream_model
            self._tokens.record(ended.usage.input, labels | {"gen_ai.token.type": "input"})
            self._tokens.record(ended.usage.output or 0, labels | {"gen_ai.token.type": "output"})
        if ended.stream and ended.first_output is not None:
            self._first_token.record(ended.first_output, labels)
        self._seconds.record(ended.seconds, labels | ({"error.type": ended.error} if ended.error else {}))


def exporting() -> OpenTelemetry:
    """Return what exports over OTLP as the variables OTEL_* say."""
    spans = None if _unwanted("OTEL_TRACES_EXPORTER") else BatchSpanProcessor(OTLPSpanExporter())
    metrics = None if _unwanted("OTEL_METRICS_EXPORTER") else PeriodicExportingMetricReader(OTLPMetricExporter())
    return OpenTelemetry(spans, metrics)


def _unwanted(variable: str) -> bool:
    return os.environ.get(variable, "") == "none"


def _resource() -> Resource:
    ours = Resource({"service.name": "penstock", "service.version": __version__})
    return Resource.create(ours.merge(OTELResourceDetector().detect()).attributes)


def _failed(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))


def _described(ended: Ended) -> _Attributes:
    """Return the attributes of a request's span."""
    usage = ended.usage
    attributes: _Attributes = {
        "gen_ai.provider.name": ended.provider,
        "gen_ai.request.model": ended.model,
        "gen_ai.response.model": ended.upstream_model,
        "gen_ai.request.stream": ended.stream,
        "gen_ai.usage.input_tokens": usage.input,
        "gen_ai.usage.output_tokens": usage.output or 0,
        "penstock.key.name": ended.key,
        "penstock.protocol.client": ended.client_protocol,
        "penstock.protocol.upstream": ended.upstream_protocol,
        "penstock.end": ended.end,
        "penstock.usage.source": ended.usage_source,
    }
    if usage.cache_read:
        attributes["gen_ai.usage.cache_read.input_tokens"] = usage.cache_read
    if usage.cache_written:
        attributes["gen_ai.usage.cache_creation.input_tokens"] = usage.cache_written
    if usage.reasoning:
        attributes["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning
    if ended.finish is not None:
        attributes["gen_ai.response.finish_reasons"] = (ended.finish,)
    if ended.first_output is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = ended.first_output
    if ended.cost is not None:
        attributes["penstock.cost.dollars"] = ended.cost * _NANO
    return attributes
