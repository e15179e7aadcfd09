"""How a dependency that hangs takes a service down with it, and what a breaker changes.

The service has four threads. Of its two routes `/asking` calls the dependency, with a timeout of
1 s and 2 s for all tries; `/alone` needs nobody. Both are asked 20 times a second, whatever was
answered before, by clients that give up after a second.
"""

import socket
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import requests

from scripts.measures.command import Cell, Place, Result, run
from scripts.measures.figures import percentile, share
from scripts.measures.programs import small
from scripts.processes import Program, free_ports, stop_group

SECONDS = 6.0
RATE = 20
PATIENCE_S = 1.0
COLUMNS = ("the dependency", "breaker", "/alone answered %", "/alone p50 ms", "/asking in time %")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its path, and after how many seconds it was answered, if it was."""

    path: str
    answered_s: float | None


def measure(place: Place, seconds: float = SECONDS) -> Result:
    """Load the service with a well dependency, and with a hanging one without and with breaker."""
    port, *fronts = free_ports(4)
    place.fleet.start(small("users", port))
    # It takes connections, as a process that is stuck does, and never reads one.
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as hanging:
        stuck = hanging.getsockname()[1]
        cases = (("answers", port, "yes"), ("hangs", stuck, "no"), ("hangs", stuck, "yes"))
        rows = []
        for front, (state, dependency, breaker) in zip(fronts, cases, strict=True):
            environ = {"DEPENDENCY_URL": f"http://127.0.0.1:{dependency}"}
            environ["BREAKER"] = "1" if breaker == "yes" else "0"
            asked = _loaded(place, small("front", front, environ), seconds)
            rows.append(row(state, breaker, asked))
    return Result("Two routes of one service, 20 requests/s each", COLUMNS, tuple(rows))


def row(state: str, breaker: str, asked: Sequence[Asked]) -> tuple[Cell, ...]:
    """What became of these requests."""
    alone = [one.answered_s for one in asked if one.path == "/alone"]
    asking = [one.answered_s for one in asked if one.path == "/asking"]
    in_time = [seconds for seconds in alone if seconds is not None]
    p50_ms = round(1000 * percentile(in_time, 50), 1) if in_time else None
    in_time_asking = sum(seconds is not None for seconds in asking)
    return (
        *(state, breaker, share(len(in_time), len(alone)), p50_ms),
        share(in_time_asking, len(asking)),
    )


def _loaded(place: Place, program: Program, seconds: float) -> list[Asked]:
    """Start the service, ask both routes at a steady rate, stop it."""
    running = place.fleet.start(program)
    url = f"http://127.0.0.1:{program.port}"
    # Room for every request that may wait at once: a full pool would slow the rate down.
    with ThreadPoolExecutor(int(2 * RATE * PATIENCE_S) * 2) as pool:
        began, asked = time.monotonic(), []
        for turn in range(int(seconds * RATE)):
            time.sleep(max(0.0, began + turn / RATE - time.monotonic()))
            asked += [pool.submit(_ask, url, path) for path in ("/asking", "/alone")]
        answers = [one.result() for one in asked]
    place.fleet.running.remove(running)
    stop_group(running.process, 0.5)  # threads that wait for the dependency would not end
    return answers


def _ask(url: str, path: str) -> Asked:
    began = time.monotonic()
    try:
        requests.get(url + path, timeout=PATIENCE_S)
    except requests.RequestException:
        return Asked(path, None)
    return Asked(path, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(run(measure, __doc__))
