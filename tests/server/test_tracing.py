"""Spans and metrics of OpenTelemetry."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from penstock.config import parse
from penstock.core.errors import ClientFault, ConfigError, ErrorInfo
from penstock.core.usage import Usage
from penstock.server import app
from penstock.server.opentelemetry import OpenTelemetry
from penstock.server.tracing import open_tracing
from tests.server.canned import WHOLE
from tests.server.reading import read
from tests.server.test_metrics import ENDED, FAILED
from tests.serving import CALLS, replaying, serving, whole

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collected:
    """Telemetry that keeps what it would export."""

    def __init__(self) -> None:
        self._spans, self._metrics = InMemorySpanExporter(), InMemoryMetricReader()
        self.telemetry = OpenTelemetry(SimpleSpanProcessor(self._spans), self._metrics)

    def run(self, ended: Any = ENDED, **headers: str) -> Any:
        """Trace one request; return the headers for the provider."""
        with self.telemetry.request("req_1", "chat", headers) as told:
            self.telemetry.observe(ended)
        return told

    @property
    def span(self) -> Any:
        (span,) = self._spans.get_finished_spans()
        return span

    def points(self, name: str) -> list[Any]:
        data = self._metrics.get_metrics_data()
        metrics = [one for of in data.resource_metrics for scope in of.scope_metrics for one in scope.metrics]
        return [point for one in metrics if one.name == name for point in one.data.data_points]


@pytest.fixture
def collected() -> Iterator[Collected]:
    collected = Collected()
    yield collected
    collected.telemetry.close()


def test_a_span_has_the_name_of_what_was_asked_of_which_model(collected: Collected) -> None:
    collected.run()
    assert (collected.span.name, collected.span.kind) == ("chat fast", SpanKind.SERVER)


def test_a_span_says_what_the_conventions_say(collected: Collected) -> None:
    collected.run()
    said = {name: value for name, value in collected.span.attributes.items() if name.startswith("gen_ai.")}
    assert said == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "lab",
        "gen_ai.request.model": "fast",
        "gen_ai.response.model": "m",
        "gen_ai.request.stream": True,
        "gen_ai.usage.input_tokens": 75,
        "gen_ai.usage.output_tokens": 9,
        "gen_ai.usage.cache_read.input_tokens": 70,
        "gen_ai.usage.reasoning.output_tokens": 4,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 0.4,
    }


def test_a_span_leads_to_the_log(collected: Collected) -> None:
    collected.run()
    assert collected.span.attributes["penstock.request.id"] == "req_1"


def test_tokens_written_to_a_cache_of_any_lifetime_are_one_number(collected: Collected) -> None:
    collected.run(msgspec.structs.replace(ENDED, usage=Usage(uncached=1, cache_write=20, cache_write_1h=300)))
    assert collected.span.attributes["gen_ai.usage.cache_creation.input_tokens"] == 320


def test_the_trace_of_a_client_goes_on_at_the_provider(collected: Collected) -> None:
    told = collected.run(traceparent=PARENT)
    version, trace, span, flags = told["traceparent"].split("-")
    assert (version, trace, flags) == ("00", "0af7651916cd43dd8448eb211c80319c", "01")
    assert int(span, 16) == collected.span.context.span_id
    assert collected.span.parent.span_id == 0xB7AD6B7169203331


def test_what_a_clients_tools_say_to_each_other_stays_here(collected: Collected) -> None:
    assert set(collected.run(traceparent=PARENT, tracestate="vendor=secret")) == {"traceparent"}


@pytest.mark.parametrize(
    "nonsense", ["", "00-0-0-0", PARENT + "\r\nx-forged: 1", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"]
)
def test_nonsense_begins_a_trace_of_its_own(collected: Collected, nonsense: str) -> None:
    told = collected.run(traceparent=nonsense)
    assert len(told["traceparent"]) == len(PARENT)
    assert collected.span.parent is None


def test_a_client_that_is_not_sampled_is_not_exported(collected: Collected) -> None:
    told = collected.run(traceparent=PARENT[:-2] + "00")
    assert told["traceparent"].endswith("-00")
    with pytest.raises(ValueError, match="not enough values"):
        _ = collected.span


def test_a_failure_has_its_kind_and_no_words_of_anybody(collected: Collected) -> None:
    collected.run(FAILED)
    assert collected.span.attributes["error.type"] == "overloaded"
    assert (collected.span.status.status_code, collected.span.status.description) == (StatusCode.ERROR, None)


def test_a_refusal_before_any_provider_was_asked_has_its_kind(collected: Collected) -> None:
    def refused() -> None:
        with collected.telemetry.request("req_1", "chat", {}):
            raise ClientFault(ErrorInfo("model_not_found", "There is no model canary."))

    with pytest.raises(ClientFault):
        refused()
    assert collected.span.attributes["error.type"] == "model_not_found"
    assert "canary" not in collected.span.to_json()


def test_a_client_that_left_is_no_error(collected: Collected) -> None:
    collected.run(msgspec.structs.replace(ENDED, end="client_gone"))
    assert collected.span.status.status_code is StatusCode.UNSET


def test_tokens_are_measured_by_type(collected: Collected) -> None:
    collected.run()
    points = collected.points("gen_ai.client.token.usage")
    assert {point.attributes["gen_ai.token.type"]: point.sum for point in points} == {"input": 75, "output": 9}
    assert points[0].explicit_bounds[-1] == 67108864


def test_durations_are_measured_in_seconds(collected: Collected) -> None:
    collected.run()
    collected.telemetry.observe(FAILED)
    points = collected.points("gen_ai.client.operation.duration")
    assert {point.attributes.get("error.type"): point.sum for point in points} == {None: 3.0, "overloaded": 3.0}
    assert points[0].explicit_bounds[-1] == 81.92


def test_the_first_token_of_streams_is_measured(collected: Collected) -> None:
    collected.run()
    (point,) = collected.points("gen_ai.server.time_to_first_token")
    assert (point.sum, point.attributes["gen_ai.request.model"]) == (0.4, "m")


def test_a_model_under_which_nobody_answered_is_no_attribute_of_metrics(collected: Collected) -> None:
    collected.telemetry.observe(msgspec.structs.replace(FAILED, upstream_model="made-up"))
    (point,) = collected.points("gen_ai.client.operation.duration")
    assert "gen_ai.request.model" not in point.attributes


def test_without_the_switch_nothing_is_traced() -> None:
    tracing = open_tracing(False)
    with tracing.request("req_1", "chat", {"traceparent": PARENT}) as told:
        tracing.observe(ENDED)
    assert dict(told) == {}


def test_without_the_switch_nothing_of_it_is_imported() -> None:
    code = "import sys, penstock.server.app; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.anyio
async def test_a_provider_is_sent_the_trace_of_its_request(
    collected: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "open_tracing", lambda otlp: collected.telemetry)
    async with replaying(whole(WHOLE["anthropic"])) as upstream, serving(lab=upstream.anthropic) as gateway:
        path, body = CALLS["openai-chat"]
        got = await read(gateway.post(path, {**body, "stream": False}, traceparent=PARENT, tracestate="vendor=secret"))
    _, headers, _ = upstream.requests[0]
    assert got.status == 200
    assert headers["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert int(headers["traceparent"].split("-")[2], 16) == collected.span.context.span_id
    assert "tracestate" not in headers
    assert collected.span.attributes["penstock.request.id"] == got.headers["x-request-id"]


@pytest.mark.anyio
async def test_without_the_switch_a_provider_is_sent_no_trace() -> None:
    async with replaying(whole(WHOLE["openai-chat"])) as upstream, serving(lab=upstream.openai) as gateway:
        path, body = CALLS["openai-chat"]
        await read(gateway.post(path, {**body, "stream": False}, traceparent=PARENT))
    assert "traceparent" not in upstream.requests[0][1]


def test_the_switch_is_in_the_configuration() -> None:
    assert parse("[telemetry]\notlp = true\n", {}).telemetry.otlp
    assert not parse("", {}).telemetry.otlp


@pytest.mark.parametrize("text", ["[telemetry]\notpl = true\n", '[telemetry]\notlp = "yes"\n'])
def test_a_mistake_in_it_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="telemetry"):
        parse(text, {})
