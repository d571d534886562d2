"""Figures for Prometheus: counts of the whole service and of each running session, which has a number and no name.

The totals live where they are counted (voice, recognition, live events, uploads); this collects them when asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Source = Callable[[], Mapping[str, float]]


class _Sources(Collector):
    def __init__(self) -> None:
        self.totals: dict[str, Source] = {}
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self.groups: Callable[[], Mapping[str, Mapping[str, float]]] = dict
        self.sessions: Callable[[], Mapping[str, Mapping[str, float]]] = dict

    def collect(self) -> Iterable[Metric]:
        groups = {name: source() for name, source in self.totals.items()}
        for part, totals in {**groups, **self.groups()}.items():
            family = GaugeMetricFamily(
                f"undertone_{_safe(part)}_count", f"Counts of {part} since the start, by kind.", labels=["kind"]
            )
            for kind, value in sorted(totals.items()):
                family.add_metric([kind], value)
            yield family
        each = GaugeMetricFamily(
            "undertone_session_count",
            "Counts of each running session, by its number since the start and by kind.",
            labels=["session", "kind"],
        )
        for number, totals in self.sessions().items():
            for kind, value in sorted(totals.items()):
                each.add_metric([number, kind], value)
        yield each
        for name, (help_text, read) in self.gauges.items():
            yield GaugeMetricFamily(f"undertone_{name}", help_text, value=read())


class Metrics:
    """The registry of one application, so that several may live in one process."""

    def __init__(
        self,
        groups: Callable[[], Mapping[str, Mapping[str, float]]],
        sessions: Callable[[], Mapping[str, Mapping[str, float]]] = dict,
    ) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._sources = _Sources()
        self._sources.groups = groups
        self._sources.sessions = sessions
        self.registry.register(self._sources)
        self.responses = Counter(
            "undertone_http_responses", "Answers by route and status.", ["route", "status"], registry=self.registry
        )
        self.predict_seconds = Histogram(
            "undertone_predict_seconds",
            "Seconds from the first byte of an upload to its answer.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )

    def add_totals(self, part: str, source: Source) -> None:
        self._sources.totals[part] = source

    def add_gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        self._sources.gauges[name] = (help_text, read)

    def text(self) -> bytes:
        return generate_latest(self.registry)


def _safe(name: str) -> str:
    return re.sub(r"[^a-z0-9_]", "_", name.lower())
