"""What Prometheus is told of requests."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from penstock.config import TelemetrySettings
from penstock.core.outcome import GAP_BOUNDS, Gaps
from penstock.core.usage import Usage
from penstock.gateway.observer import Ended
from penstock.server.metrics import MAX_MODELS, Metrics
from tests.test_docs import ROOT, cells

GAPS = Gaps((0, 0, 0, 0, 4, 1, *[0] * (len(GAP_BOUNDS) - 5)), 0.1, 0.03)
ENDED = Ended(
    request="req_1",
    key="test",
    model="fast",
    provider="lab",
    upstream_model="m",
    client_protocol="anthropic",
    upstream_protocol="openai-chat",
    stream=True,
    end="completed",
    error=None,
    finish="stop",
    usage=Usage(uncached=5, cache_read=70, output=9, reasoning=4),
    usage_source="provider",
    cost=2_500_000,
    first_output=0.4,
    seconds=3.0,
    gaps=GAPS,
    reason="stop",
)


def told(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return the samples of an exposition by name and labels."""
    body, _ = metrics.exposition()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def after(*ended: Ended) -> Any:
    """Return what looks up a sample once some requests are over."""
    metrics = Metrics()
    for one in ended:
        metrics.observe(one)
    samples = told(metrics)

    def value(name: str, **labels: str) -> float | None:
        return samples.get((name, frozenset(labels.items())))

    return value


def changed(**fields: Any) -> Ended:
    return msgspec.structs.replace(ENDED, **fields)


FAILED = changed(end="failed", error="overloaded", finish=None, reason=None, first_output=None, gaps=None)


def test_the_times_of_a_stream_are_in_histograms() -> None:
    value = after(ENDED)
    assert value("penstock_first_token_seconds_sum", provider="lab", model="m") == 0.4
    assert value("penstock_first_token_seconds_bucket", provider="lab", model="m", le="0.3") == 0
    assert value("penstock_first_token_seconds_bucket", provider="lab", model="m", le="0.5") == 1
    assert value("penstock_request_seconds_sum", provider="lab", model="m") == 3.0


def test_the_gaps_of_all_answers_are_merged() -> None:
    value = after(ENDED, ENDED)
    assert value("penstock_token_gap_seconds_count", provider="lab", model="m") == 10
    assert value("penstock_token_gap_seconds_bucket", provider="lab", model="m", le="0.02") == 8
    assert value("penstock_token_gap_seconds_bucket", provider="lab", model="m", le="0.03") == 10
    assert value("penstock_token_gap_seconds_sum", provider="lab", model="m") == pytest.approx(0.2)


def test_an_answer_that_is_not_streamed_has_no_first_token() -> None:
    value = after(changed(stream=False, gaps=None))
    assert not value("penstock_first_token_seconds_count", provider="lab", model="m")


def test_each_token_is_of_one_kind_and_reasoning_is_beside() -> None:
    value = after(ENDED)
    kinds = {
        kind: value("penstock_tokens_total", provider="lab", model="m", kind=kind)
        for kind in ("uncached", "cache_read", "output")
    }
    assert kinds == {"uncached": 5, "cache_read": 70, "output": 9}
    assert value("penstock_reasoning_tokens_total", provider="lab", model="m") == 4


def test_cost_is_in_dollars() -> None:
    assert after(ENDED, ENDED)("penstock_cost_dollars_total", provider="lab", model="m") == pytest.approx(0.005)


def test_what_has_no_price_costs_nothing_that_is_known() -> None:
    assert after(changed(cost=None))("penstock_cost_dollars_total", provider="lab", model="m") == 0


def test_requests_are_counted_by_end_and_reason() -> None:
    value = after(ENDED, changed(reason="length"), changed(end="failed", error="timeout"))
    for end, reason in (("completed", "stop"), ("completed", "length"), ("failed", "timeout")):
        assert value("penstock_requests_total", provider="lab", model="m", end=end, reason=reason) == 1


def test_requests_are_counted_by_the_pair_of_protocols() -> None:
    value = after(ENDED, changed(stream=False), ENDED)
    pair = {"client_protocol": "anthropic", "upstream_protocol": "openai-chat"}
    assert value("penstock_requests_by_protocol_total", **pair, stream="true") == 2
    assert value("penstock_requests_by_protocol_total", **pair, stream="false") == 1


def test_a_model_under_which_nobody_ever_answered_has_no_label() -> None:
    value = after(msgspec.structs.replace(FAILED, upstream_model="made-up"))
    assert value("penstock_request_seconds_count", provider="lab", model="made-up") is None
    assert value("penstock_request_seconds_count", provider="lab", model="other") == 1


def test_a_client_cannot_make_labels_without_end() -> None:
    value = after(*(changed(upstream_model=f"m{number}") for number in range(MAX_MODELS + 50)))
    assert value("penstock_request_seconds_count", provider="lab", model="other") == 50
    assert value("penstock_request_seconds_count", provider="lab", model="m7") == 1


def test_failures_of_a_provider_add_up_until_it_completes_an_answer() -> None:
    assert after(FAILED, FAILED)("penstock_upstream_consecutive_failures", provider="lab") == 2
    assert after(FAILED, FAILED, ENDED)("penstock_upstream_consecutive_failures", provider="lab") == 0


def test_it_is_told_when_a_provider_last_failed_in_which_way() -> None:
    value = after(FAILED)
    assert value("penstock_upstream_last_error_timestamp_seconds", provider="lab", kind="overloaded") > 1e9


def test_a_request_that_was_wrong_is_no_failure_of_its_provider() -> None:
    value = after(msgspec.structs.replace(FAILED, error="invalid_request"))
    assert value("penstock_upstream_consecutive_failures", provider="lab") is None


def test_what_was_done_so_that_an_answer_comes_is_counted_by_provider() -> None:
    ended = changed(
        further=(("b", "hedge"), ("c", "continuation")), hedges=(("lab", "won"),), breaks=(("b", "continued"),)
    )
    value = after(ended, ended, ENDED)
    assert value("penstock_further_attempts_total", provider="b", purpose="hedge") == 2
    assert value("penstock_further_attempts_total", provider="c", purpose="continuation") == 2
    assert value("penstock_hedges_total", provider="lab", outcome="won") == 2
    assert value("penstock_continuations_total", provider="b", outcome="continued") == 2


def test_refusals_are_counted_by_kind() -> None:
    metrics = Metrics()
    metrics.refused("rate_limited")
    metrics.refused("rate_limited")
    assert told(metrics)["penstock_refusals_total", frozenset({("kind", "rate_limited")})] == 2


def test_a_stream_is_under_way_until_it_ends_whatever_ends_it() -> None:
    metrics = Metrics()

    def stream() -> None:
        with metrics.streaming():
            assert told(metrics)["penstock_streams", frozenset()] == 1
            raise ConnectionError

    with pytest.raises(ConnectionError):
        stream()
    assert told(metrics)["penstock_streams", frozenset()] == 0


def test_names_of_models_cannot_forge_lines() -> None:
    value = after(changed(upstream_model='m"} 1\npenstock_forged 1\n'))
    assert value("penstock_forged") is None


WORKERS = """
import os, sys
from penstock.server.metrics import Metrics
from tests.server.test_metrics import ENDED

def work():
    metrics = Metrics()
    metrics.observe(ENDED)
    metrics.count()
    return metrics

for _ in range(2):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
sys.stdout.buffer.write(work().exposition()[0])
"""


def test_each_worker_tells_the_numbers_of_all(tmp_path: Path) -> None:
    environ = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", WORKERS], env=environ, capture_output=True, check=True)
    assert len(list(tmp_path.glob("counter_*.db"))) == 3
    said = done.stdout.decode()
    assert 'penstock_requests_total{end="completed",model="m",provider="lab",reason="stop"} 3.0' in said
    assert 'penstock_token_gap_seconds_count{model="m",provider="lab"} 15.0' in said
    assert 'penstock_upstream_consecutive_failures{provider="lab"} 0.0' in said


def test_the_documentation_has_every_metric() -> None:
    registry: Any = Metrics()._registry
    declared = {}
    for metric in registry._collector_to_names:
        (described,) = metric.describe()
        suffix = "_total" if described.type == "counter" else ""
        declared[described.name + suffix] = [described.type, ", ".join(metric._labelnames), described.documentation]
    assert cells(ROOT / "docs/observability.md", "metric") == declared


def test_the_documentation_has_every_key_of_telemetry() -> None:
    assert set(cells(ROOT / "docs/observability.md", "telemetry key")) == set(TelemetrySettings.__struct_fields__)
