"""What Prometheus is told. `docs/observability.md` lists every metric, and a test compares it with this module.

    metrics = Metrics()
    Gateway(..., Books(..., observers=[metrics.observe], afterwards=[metrics.count]))
    body, content_type = metrics.exposition()

Requests are counted many at once, a moment after they are over or when somebody asks: to add up ten numbers in Python
costs less than to tell the library of one.

Several workers share their numbers through the directory that PROMETHEUS_MULTIPROC_DIR names; each of them can then
tell those of all. Labels are bounded: a client can make up names of models, so one gets a label of its own only after
a provider has answered under it, and only so many of them do.
"""

import collections
import os
import platform
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import replace
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
    values,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from penstock import __version__
from penstock.core.errors import ErrorKind
from penstock.core.outcome import GAP_BOUNDS
from penstock.gateway.observer import Ended

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the directory in which workers share their numbers."""

MAX_MODELS = 256
"""Models of all providers that have labels of their own; the rest is `OTHER`."""

OTHER = "other"

FIRST_TOKEN_BOUNDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
"""Seconds."""

REQUEST_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
"""Seconds."""

TOKEN_KINDS = ("uncached", "cache_read", "cache_write", "cache_write_1h", "output")
"""The counters of core.usage.Usage that are disjoint."""

NANO = 1e-9
"""Dollars in a nano-dollar."""

_MODEL = ("provider", "model")
_FAILING = "penstock_upstream_consecutive_failures"
_LAST_ERROR = "penstock_upstream_last_error_timestamp_seconds"

# Errors that tell of the provider, not of what it was asked.
_UPSTREAM: frozenset[ErrorKind] = frozenset(
    {"upstream_error", "overloaded", "rate_limited", "timeout", "stream_incomplete"}
)


class SummedHistogram(Histogram):
    """A histogram that takes what was counted elsewhere: to observe one value costs as much as to add up many."""

    def merge(self, counts: Iterable[int], total: float) -> None:
        """Add values: how many are in each bucket, and their sum."""
        buckets, summed = cast("list[Any]", self._buckets), cast("Any", self._sum)  # pyright: ignore
        for bucket, number in zip(buckets, counts, strict=True):
            if number:
                bucket.inc(number)
        summed.inc(total)


class _OfModel(Struct, frozen=True):
    """The metrics of one model: looking up labels would cost several times what counting costs."""

    name: tuple[str, str]
    first_token: SummedHistogram
    gap: SummedHistogram
    seconds: SummedHistogram
    tokens: tuple[tuple[str, Counter], ...]
    reasoning: Counter
    cost: Counter
    ends: dict[tuple[str, str], Counter] = {}

    def count(self, requests: Sequence[Ended]) -> None:
        """Count requests but for their ends."""
        self.seconds.merge(*_in_buckets([one.seconds for one in requests], REQUEST_BOUNDS))
        first = [one.first_output for one in requests if one.stream and one.first_output is not None]
        if first:
            self.first_token.merge(*_in_buckets(first, FIRST_TOKEN_BOUNDS))
        gaps = [one.gaps for one in requests if one.gaps is not None]
        if gaps:
            self.gap.merge(map(sum, zip(*[one.counts for one in gaps], strict=True)), sum([one.total for one in gaps]))
        for kind, counter in (*self.tokens, ("reasoning", self.reasoning)):
            if number := sum([getattr(one.usage, kind) or 0 for one in requests]):
                counter.inc(number)
        if cost := sum([one.cost or 0 for one in requests]):
            self.cost.inc(cost * NANO)


class UpstreamHealth(Struct, frozen=True):
    """How calls of a provider went. `last_error_at` is Unix time in seconds."""

    consecutive_failures: int = 0
    last_error: str | None = None
    last_error_at: float | None = None


class UnderWay:
    """Counts what is done within. Stateless, so one does for all: a generator for each costs a request 3 us more."""

    __slots__ = ("_gauge",)

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge

    def __enter__(self) -> None:
        """Count one more."""
        self._gauge.inc()

    def __exit__(self, *_: object) -> None:
        """Count one less."""
        self._gauge.dec()


class Metrics:
    """The metrics of this process."""

    def __init__(self) -> None:
        if DIRECTORY in os.environ:
            # The library decides this when it is first imported, which can be before the directory was made.
            values.ValueClass = values.MultiProcessValue()  # pyright: ignore[reportUnknownMemberType]
        disable_created_metrics()  # as many samples again, which nobody asks for
        self._registry = CollectorRegistry()
        self._ended: list[Ended] = []
        self._models: dict[tuple[str, str], _OfModel] = {}
        self._pairs: dict[tuple[str, str, bool], Counter] = {}
        self._failures: dict[str, int] = {}
        self._declare_models()
        self._declare_rescues()
        self._declare_rest()

    def _declare_models(self) -> None:
        self._first_token = self._made(
            SummedHistogram,
            "penstock_first_token_seconds",
            "From the arrival of a request to the first output of its stream.",
            _MODEL,
            buckets=FIRST_TOKEN_BOUNDS,
        )
        self._gap = self._made(
            SummedHistogram, "penstock_token_gap_seconds", "Between chunks of output.", _MODEL, buckets=GAP_BOUNDS
        )
        self._seconds = self._made(
            SummedHistogram,
            "penstock_request_seconds",
            "From the arrival of a request to its end.",
            _MODEL,
            buckets=REQUEST_BOUNDS,
        )
        self._tokens = self._made(Counter, "penstock_tokens", "Tokens, each in one kind.", (*_MODEL, "kind"))
        self._reasoning = self._made(Counter, "penstock_reasoning_tokens", "Output that was reasoning.", _MODEL)
        self._cost = self._made(Counter, "penstock_cost_dollars", "What tokens cost, where a price is known.", _MODEL)
        self._ends = self._made(
            Counter,
            "penstock_requests",
            "Requests that reached a provider, by their end and its reason.",
            (*_MODEL, "end", "reason"),
        )

    def _declare_rest(self) -> None:
        self._by_protocol = self._made(
            Counter,
            "penstock_requests_by_protocol",
            "Requests that reached a provider, by the protocols of client and provider.",
            ("client_protocol", "upstream_protocol", "stream"),
        )
        self._refusals = self._made(Counter, "penstock_refusals", "Requests answered with an error status.", ("kind",))
        self._streams = self._made(Gauge, "penstock_streams", "Streams under way.", (), multiprocess_mode="livesum")
        self._under_way = UnderWay(self._streams)
        self._failing = self._made(
            Gauge,
            _FAILING,
            "Failures of a provider since it last completed an answer, as the worker that saw most of them counts.",
            ("provider",),
            multiprocess_mode="livemax",
        )
        self._last_error = self._made(
            Gauge,
            _LAST_ERROR,
            "When a provider last failed in this way, Unix time.",
            ("provider", "kind"),
            multiprocess_mode="max",
        )
        build = self._made(Gauge, "penstock_build_info", "Always 1.", ("version", "python"), multiprocess_mode="max")
        build.labels(__version__, platform.python_version()).set(1)

    def _declare_rescues(self) -> None:
        self._further = self._made(
            Counter,
            "penstock_further_attempts",
            "Attempts at a provider that were not the first of their request, by what they were for.",
            ("provider", "purpose"),
        )
        self._hedges = self._made(
            Counter,
            "penstock_hedges",
            "Second attempts beside a provider that was slow, by which of the two answered.",
            ("provider", "outcome"),
        )
        self._breaks = self._made(
            Counter,
            "penstock_continuations",
            "Answers of a provider that broke off and might be continued, by what came of it.",
            ("provider", "outcome"),
        )

    def _made(self, kind: Callable[..., Any], name: str, says: str, labels: tuple[str, ...], **more: Any) -> Any:
        return kind(name, says, labels, registry=self._registry, **more)

    def observe(self, ended: Ended) -> None:
        """Take note of a request that is over; it is counted soon."""
        self._ended.append(ended)

    def count(self) -> None:
        """Count all requests that are over."""
        requests, self._ended = self._ended, []
        of_models = collections.defaultdict[tuple[str, str], list[Ended]](list)
        for ended in requests:
            model = self._of_model(ended)
            of_models[model.name].append(ended)
            self._note_health(ended)
        for name, group in of_models.items():
            model = self._models[name]
            model.count(group)
            for how, number in collections.Counter(map(_how, group)).items():
                self._end_of(model, how).inc(number)
        for pair, number in collections.Counter(map(_pair, requests)).items():
            self._pair_of(pair).inc(number)
        _add(self._further, [pair for ended in requests for pair in ended.further])
        _add(self._hedges, [pair for ended in requests for pair in ended.hedges])
        _add(self._breaks, [pair for ended in requests for pair in ended.breaks])

    def refused(self, kind: ErrorKind) -> None:
        """Count a request that was answered with an error status."""
        self._refusals.labels(kind).inc()

    def streaming(self) -> "UnderWay":
        """Count a stream as under way."""
        return self._under_way

    def exposition(self) -> tuple[bytes, str]:
        """Return all metrics, of all workers, as Prometheus reads them, and the content type of that."""
        self.count()
        return generate_latest(self._of_all_workers()), CONTENT_TYPE_LATEST

    def upstream_health(self) -> dict[str, UpstreamHealth]:
        """Return how calls of providers went, as all workers tell; of those that completed or failed once."""
        self.count()
        found: dict[str, UpstreamHealth] = {}
        for metric in self._of_all_workers().collect():
            for sample in metric.samples:
                name = sample.labels.get("provider", "")
                known = found.get(name, UpstreamHealth())
                if sample.name == _FAILING:
                    found[name] = replace(known, consecutive_failures=int(sample.value))
                elif sample.name == _LAST_ERROR and sample.value > (known.last_error_at or 0):
                    found[name] = replace(known, last_error=sample.labels["kind"], last_error_at=sample.value)
        return found

    def _of_all_workers(self) -> CollectorRegistry:
        if DIRECTORY not in os.environ:
            return self._registry
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return registry

    def _of_model(self, ended: Ended) -> _OfModel:
        name = ended.provider, ended.upstream_model
        found = self._models.get(name)
        if found is not None:
            return found
        answered = ended.end == "completed" or ended.first_output is not None
        if not answered or len(self._models) >= MAX_MODELS:
            name = ended.provider, OTHER
            found = self._models.get(name)
        if found is None:
            found = self._models[name] = self._children(name)
        return found

    def _children(self, name: tuple[str, str]) -> _OfModel:
        return _OfModel(
            name=name,
            first_token=self._first_token.labels(*name),
            gap=self._gap.labels(*name),
            seconds=self._seconds.labels(*name),
            tokens=tuple((kind, self._tokens.labels(*name, kind)) for kind in TOKEN_KINDS),
            reasoning=self._reasoning.labels(*name),
            cost=self._cost.labels(*name),
        )

    def _end_of(self, model: _OfModel, how: tuple[str, str]) -> Counter:
        counter = model.ends.get(how)
        if counter is None:
            counter = model.ends[how] = self._ends.labels(*model.name, *how)
        return counter

    def _pair_of(self, pair: tuple[str, str, bool]) -> Counter:
        counter = self._pairs.get(pair)
        if counter is None:
            counter = self._pairs[pair] = self._by_protocol.labels(*pair[:2], str(pair[2]).lower())
        return counter

    def _note_health(self, ended: Ended) -> None:
        before = self._failures.get(ended.provider)
        if ended.end == "failed" and ended.error in _UPSTREAM:
            after = (before or 0) + 1
            self._last_error.labels(ended.provider, ended.error).set_to_current_time()
        elif ended.end == "completed":
            after = 0
        else:
            return
        if after != before:
            self._failures[ended.provider] = after
            self._failing.labels(ended.provider).set(after)


def _in_buckets(values: Sequence[float], bounds: Sequence[float]) -> tuple[list[int], float]:
    """Return how many values are in each bucket, and their sum."""
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[bisect_left(bounds, value)] += 1
    return counts, sum(values)


def _add(counter: Counter, pairs: Sequence[tuple[str, str]]) -> None:
    """Count what happens to few requests, by its labels."""
    for labels, number in collections.Counter(pairs).items():
        counter.labels(*labels).inc(number)


def _how(ended: Ended) -> tuple[str, str]:
    return ended.end, ended.error or ended.reason or ""


def _pair(ended: Ended) -> tuple[str, str, bool]:
    return ended.client_protocol, ended.upstream_protocol, ended.stream


def forget_worker(pid: int) -> None:
    """Take what a worker that has died was just doing out of the numbers; what it did stays in them."""
    multiprocess.mark_process_dead(pid)  # pyright: ignore[reportUnknownMemberType]
