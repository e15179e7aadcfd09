"""The running proxy's figures as Prometheus reads them. Pure: figures in, text out.

Figures are of all workers that ever were, so counters only ever grow while the proxy runs. Nothing
here is registered anywhere: each scrape makes its families anew.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from strangler_proxy.running.counts import BOUNDS_S, SideCounts

Figures = Mapping[str, Any]
Labels = tuple[str, ...]
# Every fourth bound doubles: 0.1 ms, 0.2 ms, ... 105 s.
_FOLD = 4
_SIDE = ("route", "upstream", "side")
_BREAKER_STATES = ("closed", "open", "half-open")

# Event -> metric, what it says, and the labels that stand for its subject and its detail.
_EVENTS: dict[str, tuple[str, str, Labels]] = {
    "refused": (
        "refused",
        "Requests that the proxy refused by itself, such as over a limit or without a token.",
        ("route", "reason"),
    ),
    "retry": ("retries", "Requests asked again.", ("upstream",)),
    "retry-refused": (
        "retries_refused",
        "Requests not asked again, because too many others were being.",
        ("upstream",),
    ),
    "fallback": (
        "fallbacks",
        "Requests that the control answered, because the candidate was not asked.",
        ("route", "upstream"),
    ),
    "part-fallback": (
        "part_fallbacks",
        "Parts of composed answers that a fallback stood in for.",
        ("route", "part"),
    ),
    "ejected": ("ejections", "Times that a worker left an address out.", ("upstream",)),
    "breaker-opened": ("breaker_opened", "Times that the breaker opened.", ("upstream",)),
    "limit-dropped": (
        "rate_limit_dropped",
        "Callers that counts were given up for, because there was no room for all.",
        (),
    ),
    "limit-unlocked": (
        "rate_limit_unlocked",
        "Counts made without a lock, because a stopped worker held it.",
        (),
    ),
    "limit-store-down": (
        "rate_limit_store_down",
        "Requests counted elsewhere, or refused, because Redis did not answer.",
        (),
    ),
    "log-dropped": ("access_log_dropped", "Lines of the access log that were lost.", ()),
}
_OTHER_EVENTS = ("events", "What else happened.", ("event", "subject", "detail"))


def exposition(figures: Figures, accept: str = "") -> tuple[bytes, str]:
    """The figures as (text, content type), in the form that an Accept header asks for.

    Takes some 10 µs a sample: with thousands of them, call it in a thread.
    """
    registry = CollectorRegistry()
    registry.register(_Families(figures))
    ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Families(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        figures = self._figures
        yield from _answers(figures["sides"])
        yield from _events(figures["events"])
        yield from _upstreams(figures["upstreams"])
        yield from _addresses(figures["upstreams"])
        yield from _proxy(figures)


def _answers(rows: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "strangler_requests", "Answers by the status that clients got.", labels=(*_SIDE, "status")
    )
    failures = CounterMetricFamily(
        "strangler_failures",
        "Answers of 5xx, and answers that broke off; never a client that hung up.",
        labels=_SIDE,
    )
    duration = HistogramMetricFamily(
        "strangler_request_duration_seconds",
        "Time from the request's head to the answer's.",
        labels=_SIDE,
    )
    sides: defaultdict[Labels, SideCounts] = defaultdict(SideCounts)
    for row in rows:
        sides[_labels(row, *_SIDE)] += SideCounts.from_json(row)
    for labels, side in sides.items():
        for status, count in sorted(side.statuses.items()):
            requests.add_metric((*labels, str(status)), count)
        failures.add_metric(labels, side.failures)
        duration.add_metric(labels, _folded(side), side.seconds)
    yield from (requests, failures, duration)


def _folded(side: SideCounts) -> list[tuple[str, float]]:
    """Cumulative counts by every fourth bound; a bound itself belongs to its bucket."""
    buckets = []
    seen = 0
    for index, held in enumerate(side.latency.buckets):
        seen += held
        if index < len(BOUNDS_S) and index % _FOLD == 0:
            buckets.append((str(BOUNDS_S[index]), float(seen)))
    return [*buckets, ("+Inf", float(seen))]


def _events(rows: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    families = {
        name: CounterMetricFamily(f"strangler_{name}", says, labels=labels)
        for name, says, labels in (*_EVENTS.values(), _OTHER_EVENTS)
    }
    counted: defaultdict[tuple[str, Labels], float] = defaultdict(float)
    for row in rows:
        event, subject, detail = _labels(row, "event", "subject", "detail")
        if event in _EVENTS:
            name, _, labels = _EVENTS[event]
            counted[name, (subject, detail)[: len(labels)]] += row["count"]
        else:
            counted[_OTHER_EVENTS[0], (event, subject, detail)] += row["count"]
    counted["access_log_dropped", ()] += 0
    for (name, labels), count in counted.items():
        families[name].add_metric(labels, count)
    yield from families.values()


def _upstreams(rows: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    loads = {
        "in_flight": ("strangler_upstream_in_flight", "Requests that wait for its answer."),
        "idle": ("strangler_upstream_idle_connections", "Connections kept for the next request."),
        "waiting": ("strangler_upstream_waiting", "Requests that wait for a connection."),
    }
    families = {
        key: GaugeMetricFamily(name, says, labels=("upstream",))
        for key, (name, says) in loads.items()
    }
    breakers = GaugeMetricFamily(
        "strangler_breaker_state",
        "1 for the state that its breaker is in.",
        labels=("upstream", "state"),
    )
    for row in rows:
        for key, family in families.items():
            family.add_metric((row["name"],), row[key])
        if row.get("breaker") is not None:
            for state in _BREAKER_STATES:
                breakers.add_metric((row["name"], state), row["breaker"] == state)
    yield from (*families.values(), breakers)


def _addresses(rows: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    kinds = {
        "well": ("up", "1 while its health checks pass, or it has none."),
        "draining": ("draining", "1 while it gets no new requests."),
        "ejected": ("ejected", "Workers that leave it out after failures."),
    }
    families = {
        key: GaugeMetricFamily(
            f"strangler_upstream_address_{name}", says, labels=("upstream", "address")
        )
        for key, (name, says) in kinds.items()
    }
    for row in rows:
        for address in row["addresses"]:
            for key, family in families.items():
                family.add_metric((row["name"], address["address"]), float(address[key]))
    yield from families.values()


def _proxy(figures: Figures) -> Iterator[Metric]:
    reloads, workers = figures["reloads"], figures["workers"]
    yield _gauge("generation", "The configuration served, counted.", figures["generation"])
    outcomes = CounterMetricFamily(
        "strangler_reloads", "Times that the file was read again.", labels=("outcome",)
    )
    for outcome in ("served", "refused"):
        outcomes.add_metric((outcome,), reloads[outcome])
    yield outcomes
    if reloads.get("last_unix_s") is not None:
        yield _gauge(
            "last_reload_timestamp_seconds",
            "When a changed file was last served, in Unix time.",
            reloads["last_unix_s"],
        )
    yield _gauge("workers", "Worker processes that answer.", len(workers))
    connections = sum(worker["connections"] for worker in workers)
    yield _gauge("connections", "Open connections of clients.", connections)


def _gauge(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(f"strangler_{name}", says, value=value)


def _labels(row: Mapping[str, Any], *keys: str) -> Labels:
    return tuple(str(row[key]) for key in keys)
