"""What the server counts, for Prometheus. A registry of its own for each server; labels take few values."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from kg import __version__
from kg.errors import StoreFailure

if TYPE_CHECKING:
    from kg.graph import Graph
    from kg.tracing import Trace

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600)


class Metrics:
    """The metrics of one server over one graph."""

    def __init__(self, graph: Graph) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "parley_http_requests", "Requests answered.", ("route", "method", "status"), registry=registry
        )
        self._latency = Histogram(
            "parley_http_request_duration_seconds",
            "Time from a request to the last byte of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._kinds: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._queries = Counter("parley_queries", "Queries and named questions.", ("outcome",), registry=registry)
        self._writes = Counter("parley_writes", "Requests to write.", ("kind", "outcome"), registry=registry)
        self._waits = Histogram(
            "parley_queue_wait_seconds", "Time in the queue for a worker.", buckets=_SECONDS, registry=registry
        )
        Info("parley", "The package.", registry=registry).info({"version": __version__})
        ProcessCollector(registry=registry)
        registry.register(_State(graph))

    def observe(self, trace: Trace, method: str, status: int, seconds: float) -> None:
        """Count a request that has ended."""
        kind = trace.route, method, status
        if kind not in self._kinds:  # finding the labelled ones takes longer than counting
            self._kinds[kind] = self._requests.labels(*kind), self._latency.labels(trace.route)
        requests, latency = self._kinds[kind]
        requests.inc()
        latency.observe(seconds)
        if trace.job == "query":
            self._queries.labels(trace.outcome).inc()
        elif trace.job:
            self._writes.labels(trace.job, trace.outcome).inc()
        if trace.waited is not None:
            self._waits.observe(trace.waited)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All of them, as OpenMetrics if the Accept header prefers that and else as Prometheus text; and the media
        type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _State:
    """What is read off the workers and the store when it is asked for."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def collect(self) -> Iterator[Metric]:
        tally = self._graph.tally
        yield GaugeMetricFamily("parley_queue_length", "Jobs that wait for a worker.", tally.waiting)
        yield GaugeMetricFamily("parley_workers", "Worker processes.", len(tally.pids))
        busy = GaugeMetricFamily("parley_workers_busy", "Workers at work.", labels=["kind"])
        for kind in ("read", "write"):
            busy.add_metric([kind], tally.busy[kind])
        yield busy
        yield CounterMetricFamily("parley_worker_starts", "Workers started.", tally.started)
        ends = CounterMetricFamily("parley_worker_ends", "Workers killed or found dead.", labels=["reason"])
        for reason, number in tally.ended.items():
            ends.add_metric([reason], number)
        yield ends
        yield GaugeMetricFamily(
            "parley_worker_resident_memory_bytes", "Memory of all workers.", sum(map(_resident, tally.pids))
        )
        cache = self._graph.cache
        asked = CounterMetricFamily("parley_cache_requests", "Queries that the cache was asked for.", labels=["result"])
        asked.add_metric(["hit"], cache.hits)
        asked.add_metric(["miss"], cache.misses)
        yield asked
        yield GaugeMetricFamily("parley_cache_bytes", "Bytes of answers that are remembered.", cache.bytes)
        # A store that cannot be read has no numbers, and the others are wanted all the more.
        with suppress(StoreFailure):
            yield GaugeMetricFamily("parley_store_version", "The current version.", self._graph.version())
            if latest := self._graph.latest():
                at = datetime.fromisoformat(latest.at).timestamp()
                yield GaugeMetricFamily("parley_store_facts", "Facts that the sources assert.", latest.quads)
                yield GaugeMetricFamily("parley_store_last_commit_timestamp_seconds", "Time of the last commit.", at)


def _resident(pid: int) -> int:
    """Bytes of memory that a process has; 0 where the system does not tell or the process is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
