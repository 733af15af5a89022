"""Publishes a daemon's numbers to Prometheus, on a port of loopback. It needs the extra `metrics`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from qubitd.server.errors import MetricsError
from qubitd.server.telemetry.meters import BOUNDS, COUNTERS, SPREADS, Family, Meters, Spread

PREFIX = "qubitd_"
Gauges = Callable[[], Mapping[str, float]]


@contextmanager
def published(meters: Meters, gauges: Gauges, *, port: int, host: str = "127.0.0.1") -> Generator[int]:
    """Serve the numbers for as long as the block lasts; gives the port.

    Args:
        meters: what was counted.
        gauges: asked at each scrape: what is now, by name.
        port: 0 for any free one.
        host: an address of this machine.

    Raises:
        MetricsError: prometheus-client is not installed, or the port is taken.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as error:
        raise MetricsError("prometheus-client is not installed; type: pip install 'qubitd[metrics]'") from error
    registry = CollectorRegistry()
    registry.register(_Collector(meters, gauges))
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise MetricsError(f"metrics cannot be served on {host}:{port} ({error.strerror}); choose another") from error
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Collector:
    """Makes Prometheus' values when they are asked for."""

    def __init__(self, meters: Meters, gauges: Gauges) -> None:
        self._meters = meters
        self._gauges = gauges

    def collect(self) -> Iterator[Any]:
        """Give every family."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        for name, value in self._gauges().items():
            yield GaugeMetricFamily(PREFIX + name, name.replace("_", " "), value=value)
        counts, spreads = self._meters.counts(), self._meters.spreads()
        for name, of in COUNTERS.items():
            family = CounterMetricFamily(PREFIX + name, of.help, labels=_labels(of))
            for label, count in _of(counts, name):
                family.add_metric([label] if of.label else [], count)
            yield family
        for name, of in SPREADS.items():
            histogram = HistogramMetricFamily(f"{PREFIX}{name}_seconds", of.help, labels=_labels(of))
            for label, spread in _of(spreads, name):
                histogram.add_metric([label] if of.label else [], _buckets(spread), sum_value=spread.total)
            yield histogram


def _labels(family: Family) -> list[str]:
    return [family.label] if family.label else []


def _of(values: Mapping[tuple[str, str], Any], name: str) -> Iterator[tuple[str, Any]]:
    return ((label, value) for (of, label), value in values.items() if of == name)


def _buckets(spread: Spread) -> list[tuple[str, float]]:
    bounds = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
    return [(bound, float(count)) for bound, count in zip(bounds, itertools.accumulate(spread.counts), strict=True)]
