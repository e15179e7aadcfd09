"""The figures of all workers as one, those that have died included. Pure."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from strangler_proxy.config import COMPOSED, Config
from strangler_proxy.policies.breaker import Breaker
from strangler_proxy.routing import DEFAULT
from strangler_proxy.running.counts import SideCounts

Figures = dict[str, Any]
"""What a worker tells: `sides`, `events`, and as it is now `pools` and `connections`."""


class Past:
    """What workers had counted that are gone: their figures stay in all that is told later."""

    def __init__(self) -> None:
        self._sides: dict[tuple[str, str], SideCounts] = {}
        self._events: Counter[tuple[str, str, str]] = Counter()

    def take(self, figures: Figures) -> None:
        """Keep the last figures of a worker that has died."""
        add_sides(self._sides, figures.get("sides", ()))
        add_events(self._events, figures.get("events", ()))

    def with_living(
        self, figures: Iterable[Figures]
    ) -> tuple[dict[tuple[str, str], SideCounts], Counter[tuple[str, str, str]]]:
        """Sides by (route, upstream) and events, over all workers that were ever there."""
        sides, events = dict(self._sides), Counter(self._events)
        for each in figures:
            add_sides(sides, each.get("sides", ()))
            add_events(events, each.get("events", ()))
        return sides, events


def add_sides(sides: dict[tuple[str, str], SideCounts], rows: Iterable[Any]) -> None:
    """Add a worker's rows."""
    for row in rows:
        key = (row["route"], row["upstream"])
        sides[key] = sides.get(key, SideCounts()) + SideCounts.from_json(row)


def add_events(events: Counter[tuple[str, str, str]], rows: Iterable[Any]) -> None:
    """Add a worker's events, each a list of (event, subject, detail, count)."""
    for event, subject, detail, count in rows:
        events[event, subject, detail] += count


def by_route(sides: dict[tuple[str, str], SideCounts]) -> dict[str, dict[str, Any]]:
    """Counts by route, then by upstream."""
    told: dict[str, dict[str, Any]] = {}
    for (route, upstream), counts in sides.items():
        told.setdefault(route, {})[upstream] = counts.as_json()
    return told


def side_rows(sides: dict[tuple[str, str], SideCounts], config: Config) -> list[dict[str, Any]]:
    """A row for each side of each route, with what it is to the route as the file is now."""
    return [
        {"route": route, "upstream": upstream, "side": side_of(config, route, upstream)}
        | counts.as_json()
        for (route, upstream), counts in sides.items()
    ]


def side_of(config: Config, name: str, upstream: str) -> str:
    """`control`, `candidate`, `default`, `composed`; `former` for what the file names no more."""
    route = config.route(name)
    if upstream == COMPOSED:
        return "composed"
    if route is None:
        return "default" if name == DEFAULT else "former"
    sides = {route.candidate: "candidate", route.control: "control"}
    return sides.get(upstream, "former")


def event_rows(events: Counter[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """A row for each kind of event."""
    return [
        {"event": event, "subject": subject, "detail": detail, "count": count}
        for (event, subject, detail), count in events.items()
    ]


def pools(figures: Iterable[Figures]) -> dict[str, dict[str, Any]]:
    """By upstream: requests in flight, idle connections, waiting, and by address who left it out.

    An address is `ejected` by so many workers, and has so many requests `in_flight`.
    """
    told: dict[str, dict[str, Any]] = {}
    for each in figures:
        for name, pool in each.get("pools", {}).items():
            row = told.setdefault(name, {"in_flight": 0, "idle": 0, "waiting": 0, "addresses": {}})
            for key in ("in_flight", "idle", "waiting"):
                row[key] += pool[key]
            for address, (in_flight, ejected) in pool["addresses"].items():
                seen = row["addresses"].setdefault(address, {"in_flight": 0, "ejected": 0})
                seen["in_flight"] += in_flight
                seen["ejected"] += ejected
    return told


def upstream_rows(
    known: Iterable[dict[str, Any]],
    pools: dict[str, dict[str, Any]],
    breakers: dict[str, Breaker],
    now: float,
) -> list[dict[str, Any]]:
    """A row for each upstream: what is known of its addresses, and how the workers fare with it."""
    rows = []
    for each in known:
        name = each["upstream"]
        pool = pools.get(name, {"in_flight": 0, "idle": 0, "waiting": 0, "addresses": {}})
        breaker = breakers.get(name)
        nothing = {"in_flight": 0, "ejected": 0}
        rows.append(
            {
                **{key: value for key, value in each.items() if key != "upstream"},
                "name": name,
                "breaker": breaker.state(now) if breaker else None,
                "forced": breaker.forced if breaker else None,
                "opened": breaker.opened if breaker else None,
                **{key: pool[key] for key in ("in_flight", "idle", "waiting")},
                "addresses": [
                    {**address, **pool["addresses"].get(address["address"], nothing)}
                    for address in each["addresses"]
                ],
            }
        )
    return rows
