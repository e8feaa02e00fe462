"""What the server has done, for Prometheus: `/__admin/metrics`.

Counted where `prometheus-client` is installed; what can be read from the state is read when the page is asked for.
"""

from __future__ import annotations

import asyncio
import importlib.util
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from mockserver.engine.callbacks import Attempt, Delivery
from mockserver.engine.task import status_at
from mockserver.engine.world import World
from mockserver.journal.record import Exchange

if TYPE_CHECKING:
    from prometheus_client.core import Metric

#: Upper ends of the ranges of latencies, in seconds.
BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0)
#: Tasks that are looked at before others are let in.
_AT_ONCE = 5000
_PREFIX = "mockserver_"


class Metrics:
    """The counts of one server, all sessions together."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.callbacks: Counter[tuple[str, str]] = Counter()
        self.faults: Counter[tuple[str, str]] = Counter()
        #: By range of `BUCKETS_S`; the last is of those beyond.
        self.latencies = [0] * (len(BUCKETS_S) + 1)
        self.latency_s = 0.0

    def exchange(self, entry: Exchange) -> None:
        """Count an exchange."""
        provider, response = entry.provider or "", entry.response
        self.requests[provider, response.operation or "", entry.status] += 1
        for fault in response.faults:
            self.faults[provider, fault] += 1

    def delivery(self, delivery: Delivery, attempt: Attempt) -> None:
        """Count an attempt at a callback."""
        self.callbacks[delivery.provider, attempt.outcome] += 1

    def answered(self, seconds: float) -> None:
        """Count how long an answer took."""
        self.latencies[bisect_left(BUCKETS_S, seconds)] += 1
        self.latency_s += seconds

    async def page(self, worlds: Iterable[tuple[World, int]], connections: int) -> tuple[str, bytes]:
        """Write everything, with the worlds and what time it is in each; return the content type, and the page."""
        from prometheus_client import CollectorRegistry  # noqa: PLC0415 - only this page needs it
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest  # noqa: PLC0415

        states: Counter[tuple[str, str]] = Counter()
        waiting = 0
        for world, now_ms in worlds:
            waiting += len(world.under_way)
            await _count_states(world, now_ms, states)
        metrics = list(self._metrics(states, waiting, connections))
        registry = CollectorRegistry()
        registry.register(_Collector(metrics))
        return CONTENT_TYPE_LATEST, generate_latest(registry)

    def _metrics(self, states: Counter[tuple[str, str]], waiting: int, connections: int) -> Iterator[Metric]:
        from prometheus_client.core import (  # noqa: PLC0415
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        counted: tuple[tuple[str, str, tuple[str, ...], Counter[Any]], ...] = (
            ("requests", "Requests answered.", ("provider", "operation", "status"), self.requests),
            ("callback_attempts", "Attempts at callbacks.", ("provider", "outcome"), self.callbacks),
            ("faults", "Requests that faults have changed.", ("provider", "fault"), self.faults),
        )
        for name, summary, labels, counts in counted:
            family = CounterMetricFamily(_PREFIX + name, summary, labels=labels)
            for values, count in sorted(counts.items()):
                family.add_metric([str(each) for each in values], count)
            yield family
        tasks = GaugeMetricFamily(_PREFIX + "tasks", "Tasks by their state.", labels=("provider", "state"))
        for values, count in sorted(states.items()):
            tasks.add_metric(list(values), count)
        yield tasks
        yield GaugeMetricFamily(_PREFIX + "callbacks_waiting", "Callbacks that are not finished.", value=waiting)
        yield GaugeMetricFamily(_PREFIX + "connections", "Open connections.", value=connections)
        latency = HistogramMetricFamily(_PREFIX + "answer_seconds", "Real time that the server took for an answer.")
        buckets, total = [], 0
        for end, count in zip((*map(str, BUCKETS_S), "+Inf"), self.latencies, strict=True):
            total += count
            buckets.append((end, total))
        latency.add_metric([], buckets, self.latency_s)
        yield latency


class _Collector:
    """Gives a registry what has been collected."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        """Return it."""
        return self._metrics


async def _count_states(world: World, now_ms: int, states: Counter[tuple[str, str]]) -> None:
    for name, state in world.providers.items():
        for number, task in enumerate(list(state.tasks.values()), 1):
            states[name, status_at(task, now_ms).status] += 1
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)


def new_metrics() -> Metrics | None:
    """Return what counts; None where nothing could show it."""
    return Metrics() if importlib.util.find_spec("prometheus_client") is not None else None
