"""What a server measures, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from pixseek.types import Layout, Results

MEDIA = CONTENT_TYPE_LATEST

#: Seconds, from the answer of a cache to a filter over a million records.
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

#: What is read when the metrics are: name, help, and its values by library.
Gauge = tuple[str, str, Callable[[], Mapping[str, float]]]


class Metrics:
    """The counts and times of one server. May be used from several threads."""

    def __init__(self, gauges: Iterable[Gauge]) -> None:
        """Begin at zero.

        Args:
            gauges: what is read only when somebody asks for the metrics.
        """
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "pixseek_http_requests", "Requests answered.", ("route", "method", "status"),
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "pixseek_http_request_seconds", "Seconds until the answer began.", ("route",),
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._stages = Histogram(
            "pixseek_search_stage_seconds",
            "Seconds of each stage of a search; queries answered together share them.", ("stage",),
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._registry.register(_Gauges(tuple(gauges)))

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        # Clients may make up methods; each would be a series that is kept for ever.
        known = method if method in _METHODS else "other"
        self._requests.labels(route, known, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_search(self, results: Results | Layout) -> None:
        """Count the stages of a search."""
        for stage, ms in results.took_ms.items():
            self._stages.labels(stage).observe(ms / 1000)

    def as_text(self) -> bytes:
        """Return all in the text format of Prometheus."""
        return generate_latest(_WithoutCreated(self._registry))


class _WithoutCreated(Collector):
    """Metrics without a series for when each series began, which doubles them.

    `disable_created_metrics` of prometheus_client would do it for the whole process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [s for s in metric.samples if not s.name.endswith("_created")]
            yield metric


class _Gauges(Collector):
    def __init__(self, gauges: tuple[Gauge, ...]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        for name, text, values in self._gauges:
            family = GaugeMetricFamily(name, text, labels=("library",))
            for library, value in values().items():
                family.add_metric((library,), value)
            yield family

    def describe(self) -> Iterator[Metric]:
        """Return nothing, so that registering reads no library."""
        yield from ()
