"""What it costs to ask for the same thing by a function call and by HTTP, one after the other.

The service runs in a process of its own (gunicorn, one worker) on the loopback address: there is
no network in these figures. Of a real network, add its round trips: two for a new connection.
"""

import http.client
import sys
import time
from collections.abc import Callable

import requests

from extracted.chassis.client import ServiceClient
from scripts.measures.apps.users import user
from scripts.measures.command import Cell, Place, Result, run
from scripts.measures.figures import percentile
from scripts.measures.programs import small
from scripts.processes import free_ports

CALLS = 500
FUNCTION_CALLS_AT_ONCE = 1000  # one is too short for the clock
COLUMNS = ("way of asking", "p50 µs", "p99 µs", "times a function call")


def measure(place: Place, calls: int = CALLS) -> Result:
    """Ask in every way, so many times each."""
    (port,) = free_ports(1)
    place.fleet.start(small("users", port))
    url = f"http://127.0.0.1:{port}"
    kept = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    client = ServiceClient(url, timeout_s=10)

    def by_kept_connection() -> None:
        kept.request("GET", "/users/7")
        kept.getresponse().read()

    ways: dict[str, Callable[[], object]] = {
        "HTTP, connection kept (http.client)": by_kept_connection,
        "HTTP, a new connection each (requests)": lambda: requests.get(
            f"{url}/users/7", timeout=10
        ),
        "HTTP, chassis client, GET (kept)": lambda: client.request("GET", "/users/7"),
        "HTTP, chassis client, POST (new)": lambda: client.request("POST", "/users/7", json={}),
    }
    function_us = [_function_us() for _ in range(calls)]
    figures = {"function call": function_us}
    figures |= {name: [_us(ask) for _ in range(calls)] for name, ask in ways.items()}
    kept.close()
    client.close()
    return table(figures)


def table(figures: dict[str, list[float]]) -> Result:
    """Each way's times, in µs, beside those of the first."""
    first = percentile(next(iter(figures.values())), 50)
    rows = tuple(
        _row(name, percentile(us, 50), percentile(us, 99), first) for name, us in figures.items()
    )
    return Result("A function call and HTTP calls on loopback", COLUMNS, rows)


def _row(name: str, p50_us: float, p99_us: float, first_us: float) -> tuple[Cell, ...]:
    return name, round(p50_us, 2), round(p99_us, 2), round(p50_us / first_us)


def _us(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    return (time.perf_counter() - began) * 1e6


def _function_us() -> float:
    began = time.perf_counter()
    for _ in range(FUNCTION_CALLS_AT_ONCE):
        user(7)
    return (time.perf_counter() - began) * 1e6 / FUNCTION_CALLS_AT_ONCE


if __name__ == "__main__":
    sys.exit(run(measure, __doc__))
