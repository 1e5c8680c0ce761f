"""What `/metrics` shows: Prometheus metrics in base units, labelled by model."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from paddlesrv import __version__

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Series:
    """The observations of one histogram under one set of labels."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value


class Histogram(Collector):
    """A histogram that one thread alone observes, several times in each request.

    prometheus_client's own takes two locks for each value and searches its buckets in Python:
    a tenth of all the time that a small request takes.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._bounds = buckets
        self._series: dict[tuple[str, ...], Series] = {}
        registry.register(self)

    def labels(self, *values: str) -> Series:
        """The series under these labels, in the order of the constructor's."""
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = Series(self._bounds)
        return series

    def collect(self) -> Iterable[Metric]:
        """What prometheus_client writes out: counts up to and including each bound."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, series in self._series.items():
            total = 0
            buckets: list[tuple[str, float]] = []
            for bound, count in zip((*self._bounds, float("inf")), series.counts, strict=True):
                total += count
                buckets.append((floatToGoString(bound), total))  # type: ignore[no-untyped-call]
            family.add_metric(values, buckets, series.sum)
        return [family]


class Tally:
    """The value of one counter under one set of labels."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self) -> None:
        """One more."""
        self.value += 1


class Tallies(Collector):
    """A counter that one thread alone counts on; prometheus_client's own takes a lock each time."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], *, registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._tallies: dict[tuple[str, ...], Tally] = {}
        registry.register(self)

    def labels(self, *values: str) -> Tally:
        """The counter under these labels, in the order of the constructor's."""
        return self._tallies.setdefault(values, Tally())

    def collect(self) -> Iterable[Metric]:
        """What prometheus_client writes out."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, tally in self._tallies.items():
            family.add_metric(values, tally.value)
        return [family]


class Metrics:
    """All metrics of one server, in a registry of its own (several servers may share a process)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        model = ("model",)
        self._requests = Tallies(
            "paddlesrv_requests", "Answers sent.", ("model", "protocol", "code"),
            registry=self.registry,
        )  # fmt: skip
        self._request_seconds = Histogram(
            "paddlesrv_request_seconds", "From the whole request to its answer.",
            ("model", "protocol"), buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.queue_seconds = Histogram(
            "paddlesrv_queue_seconds", "From the queue to a worker.", model,
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.infer_seconds = Histogram(
            "paddlesrv_infer_seconds", "The engine's time for one batch.", model,
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.batch_rows = Histogram(
            "paddlesrv_batch_rows", "Rows in a batch that ran.", model,
            buckets=_ROWS, registry=self.registry,
        )  # fmt: skip
        self.rejected = Counter(
            "paddlesrv_rejected", "Requests that were not computed.", ("model", "reason"),
            registry=self.registry,
        )  # fmt: skip
        self._refused = Tallies(
            "paddlesrv_refused", "Requests without a key that is taken, or beyond a key's limits.",
            ("key", "reason"), registry=self.registry,
        )  # fmt: skip
        self.worker_restarts = Counter(
            "paddlesrv_worker_restarts", "Workers that died and were started again.", model,
            registry=self.registry,
        )  # fmt: skip
        self.ready = Gauge(
            "paddlesrv_model_ready", "1 while a worker serves the model.", model,
            registry=self.registry,
        )  # fmt: skip
        self.queue_depth = Gauge(
            "paddlesrv_queue_depth", "Rows that wait in the queue.", model, registry=self.registry
        )
        self.in_flight = Gauge(
            "paddlesrv_inflight", "Requests accepted and not yet answered.", model,
            registry=self.registry,
        )  # fmt: skip
        info = Gauge(
            "paddlesrv_build_info", "1; what runs here.", ("version",), registry=self.registry
        )
        info.labels(__version__).set(1)
        self._bound: dict[tuple[str, str, int], tuple[Tally, Series]] = {}

    def answered(self, model: str, protocol: str, code: int, seconds: float) -> None:
        """Count one answer and its time."""
        bound = self._bound.get((model, protocol, code))
        if bound is None:
            bound = (
                self._requests.labels(model, protocol, str(code)),
                self._request_seconds.labels(model, protocol),
            )
            self._bound[model, protocol, code] = bound
        bound[0].inc()
        bound[1].observe(seconds)

    def refused(self, key: str, reason: str) -> None:
        """Count a request that the gate turned away: a key's name (or none) and an error's code."""
        self._refused.labels(key, reason).inc()

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)


class ModelMetrics:
    """The metrics of one model, looked up once."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._rejected = metrics.rejected
        self._model = model
        self.queue_seconds = metrics.queue_seconds.labels(model)
        self.infer_seconds = metrics.infer_seconds.labels(model)
        self.batch_rows = metrics.batch_rows.labels(model)
        self.worker_restarts = metrics.worker_restarts.labels(model)
        self.ready = metrics.ready.labels(model)
        self.queue_depth = metrics.queue_depth.labels(model)
        self.in_flight = metrics.in_flight.labels(model)

    def rejected(self, reason: str) -> None:
        """Count a request that was turned away: queue_full, deadline, draining, not_ready."""
        self._rejected.labels(self._model, reason).inc()
