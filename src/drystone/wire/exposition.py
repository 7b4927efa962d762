"""Prometheus text of what is known at one moment: no registry of the process, no state between two answers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Rows = Iterable[tuple[tuple[str, ...], float | None]]
"""Values of the labels, and the number; None when it is not known: then the row is left out."""


class _Given(Collector):
    """Metrics that were made for one answer."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = tuple(metrics)

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)


def expose(metrics: Iterable[Metric]) -> bytes:
    """The text of metrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(metrics))
    return generate_latest(registry)


def gauge(name: str, text: str, value: float) -> Metric:
    """One number. :param text: what it is."""
    return gauges(name, text, (), [((), value)])


def gauges(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    """Numbers by their labels."""
    return _fill(GaugeMetricFamily(name, text, labels=labels), rows)


def counter(name: str, text: str, value: float) -> Metric:
    """One number that only grows while the process lives; its name gets `_total`."""
    return counters(name, text, (), [((), value)])


def counters(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    """Numbers that only grow while the process lives, by their labels."""
    return _fill(CounterMetricFamily(name, text, labels=labels), rows)


def _fill(family: GaugeMetricFamily | CounterMetricFamily, rows: Rows) -> Metric:
    for values, value in rows:
        if value is not None:
            family.add_metric(values, float(value))
    return family
