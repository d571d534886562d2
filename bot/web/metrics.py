"""Figures for Prometheus: counts of the whole service and of each running session, which has a number and no name.

The totals live where they are counted (voice, recognition, live events, uploads); this collects them when asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bot.listening.manager import NOT_TOTALS

Source = Callable[[], Mapping[str, float]]
Family = CounterMetricFamily | GaugeMetricFamily

NOW: Final = NOT_TOTALS | frozenset(
    {
        "connected",
        "half",
        "idle",
        "open",
        "pressed",
        "replicas",
        "sessions_running",
        "shards_served_twice",
        "shards_unserved",
        "subscribers",
        "waiting",
    }
)
"""Figures of the moment (gauges). Whatever else is counted never goes down while the service runs."""
_REASON: Final = "dropped_"


class _Sources(Collector):
    def __init__(self) -> None:
        self.totals: dict[str, Source] = {}
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self.groups: Callable[[], Mapping[str, Mapping[str, float]]] = dict
        self.sessions: Callable[[], Mapping[str, Mapping[str, float]]] = dict

    def collect(self) -> Iterator[Metric]:
        groups = {name: source() for name, source in self.totals.items()}
        for part, counts in {**groups, **self.groups()}.items():
            yield from _families(part, [((), counts)])
        yield from _families("session", [((number,), counts) for number, counts in self.sessions().items()], "session")
        for name, (help_text, read) in self.gauges.items():
            yield GaugeMetricFamily(f"undertone_{name}", help_text, value=read())


def _families(
    part: str, counted: Iterable[tuple[tuple[str, ...], Mapping[str, float]]], *labels: str
) -> Iterable[Family]:
    """A family for each kind that `part` counts, and one for why something was dropped; `counted` by label values."""
    families: dict[str, Family] = {}
    for values, counts in counted:
        for kind, value in sorted(counts.items()):
            if kind.startswith(_REASON):
                family = families.setdefault(_REASON, _family(part, "dropped", *labels, "reason"))
                family.add_metric([*values, kind.removeprefix(_REASON)], value)
            else:
                family = families.setdefault(kind, _family(part, kind, *labels))
                family.add_metric(values, value)
    return families.values()


def _family(part: str, kind: str, *labels: str) -> Family:
    name = f"undertone_{_safe(part)}_{_safe(kind.removeprefix(f'{part}_'))}"
    words = kind.replace("_", " ")
    if kind in NOW:
        return GaugeMetricFamily(name, f"{part}: {words}, now.", labels=labels)
    return CounterMetricFamily(name, f"{part}: {words}, since the start.", labels=labels)


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
        ProcessCollector(registry=self.registry)  # this process; workers are processes of their own
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
