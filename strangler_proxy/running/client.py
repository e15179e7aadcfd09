"""Ask a running proxy, over the local socket of its file or over its admin address.

Every question has a bound on how long its answer is waited for. What was not answered in time may
still be carried out.
"""

import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from strangler_proxy.config import ConfigError, Problem
from strangler_proxy.running.counts import SideCounts
from strangler_proxy.running.doors import Door, SocketDoor

TIMEOUT_S = 30.0
HOLD_ANSWER_S = 0.75
"""So much longer than `drain_s` may a proxy take to say that it holds, or that it does not."""
_REFUSALS = (400, 403, 404, 409, 415, 422, 500)
_NO_RESOURCE = "404: Not Found"


class ProxyUnreachable(Exception):
    """No proxy is there, or it does not answer in time."""


class Refused(Exception):
    """The proxy will not do what it was asked to; the message says why."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker: the generation of the configuration it serves, its open client connections."""

    pid: int
    generation: int
    connections: int


@dataclass(frozen=True, slots=True)
class Status:
    """A running proxy; `generation` counts the configurations it has served."""

    pid: int
    listen: str
    config: str
    generation: int
    digest: str
    workers: tuple[WorkerStatus, ...]


@dataclass(frozen=True, slots=True)
class Released:
    """How a hold ended: requests held, the longest time in seconds, and why it did not last.

    `broken` is None when every worker kept it to the end.
    """

    held: int
    lasted_s: float
    broken: str | None


class RunningProxy:
    """A running proxy, by the configuration file that it serves or by a door to it."""

    def __init__(self, at: Path | Door) -> None:
        self._door = SocketDoor(at) if isinstance(at, Path) else at

    def status(self, timeout_s: float = TIMEOUT_S) -> Status:
        """Who serves what; ProxyUnreachable when nobody does."""
        answer = self._ask("GET", "/status", timeout_s=timeout_s)
        answer["workers"] = tuple(
            WorkerStatus(**_known(WorkerStatus, worker)) for worker in answer["workers"]
        )
        return Status(**_known(Status, answer))

    def counts(self) -> dict[str, dict[str, SideCounts]]:
        """Figures by route and upstream since the proxy started, over all workers."""
        return {
            route: {upstream: SideCounts.from_json(side) for upstream, side in sides.items()}
            for route, sides in self._ask("GET", "/counts").items()
        }

    def routes(self, timeout_s: float = TIMEOUT_S) -> list[dict[str, Any]]:
        """Every route as it is served now, as the admin interface tells them."""
        return list(self._ask("GET", "/routes", timeout_s=timeout_s))

    def reload(self, hold: str | None = None, timeout_s: float = TIMEOUT_S) -> int:
        """Have the file read again; returns its generation once every worker serves it.

        Under a `hold` only while every worker keeps it. Raises ConfigError when the proxy refuses
        the file (and keeps the old one).
        """
        try:
            answer = self._ask("POST", "/reload", {"hold": hold}, timeout_s)
        except Refused as refused:
            problem = Problem(self._door.name, None, "", f"not taken over: {refused}")
            raise ConfigError([problem]) from refused
        return int(answer["generation"])

    def flip(
        self,
        routes: Sequence[str],
        to: str,
        *,
        hold: str | None = None,
        check: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Have the proxy edit its own file, all routes in one go, and serve by it everywhere.

        Under a `hold` only while every worker keeps it. With `check` nothing is changed, only
        refused what would be. Raises Refused or ConfigError; the file is then as it was.
        """
        order = {"routes": list(routes), "to": to, "hold": hold, "check": check}
        self._ask("POST", "/flip", order, timeout_s)

    def hold(self, routes: Sequence[str], *, seconds: float, drain_s: float, **bounds: int) -> str:
        """Park the requests of these routes in every worker, or in none; the name of the hold.

        Returns when all that had been sent before is answered, within `drain_s`. The hold ends by
        itself after `seconds`. `bounds`: `most_requests` and `most_bytes`, each worker's. Raises
        Refused when nothing is held, ProxyUnreachable when it is not known within `drain_s` and
        HOLD_ANSWER_S: a proxy that comes to it later sees that nobody waits, and lets go.
        """
        order = {"routes": list(routes), "seconds": seconds, "drain_s": drain_s, **bounds}
        return str(self._ask("POST", "/holds", order, drain_s + HOLD_ANSWER_S)["hold"])

    def release(self, hold: str, timeout_s: float = TIMEOUT_S) -> Released:
        """Send on what is held, in order, to whoever serves now."""
        path = f"/holds/{quote(hold, safe='')}/release"
        return Released(**self._ask("POST", path, timeout_s=timeout_s))

    def upstreams(self) -> list[dict[str, Any]]:
        """Every upstream's addresses, breaker and load, as the admin interface tells them."""
        return list(self._ask("GET", "/upstreams"))

    def set_breaker(self, upstream: str, state: str) -> None:
        """Hold a breaker "open" or "closed", or let it judge again: "auto". Raises Refused."""
        self._ask("POST", f"/breakers/{quote(upstream, safe='')}", {"state": state})

    def drain_address(self, upstream: str, address: str, *, draining: bool) -> None:
        """Send no new requests to an address, or send them again. Raises Refused."""
        path = f"/upstreams/{quote(upstream, safe='')}/addresses/{quote(address, safe='')}"
        self._ask("POST", path, {"draining": draining})

    def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Any:
        try:
            status, answer = self._answer(method, path, body, timeout_s)
        except (OSError, http.client.HTTPException, ValueError) as fault:
            raise ProxyUnreachable(self._door.silent(fault)) from fault
        if status == 200:
            return answer
        told = answer if isinstance(answer, dict) else {}
        if status == 422 and "problems" in told:
            raise ConfigError([Problem(**problem) for problem in told["problems"]])
        detail = str(told.get("detail", answer))
        if status == 401:
            raise Refused("the token is not the one in that proxy's STRANGLER_ADMIN_TOKEN")
        if status == 404 and detail == _NO_RESOURCE:
            raise Refused(f"it has no {method} {path}: it is an older version, to be updated first")
        if status in _REFUSALS:
            raise Refused(detail)
        raise ProxyUnreachable(f"{self._door.name} answered {status}: {detail}")

    def _answer(
        self, method: str, path: str, body: dict[str, Any] | None, timeout_s: float
    ) -> tuple[int, Any]:
        """One exchange; each wait in it ends at the deadline, so a proxy that hangs costs that."""
        deadline = time.monotonic() + timeout_s
        connection = self._door.open(timeout_s)
        sent = None if body is None else json.dumps(body)
        try:
            connection.connect()
            _until(connection, deadline)
            headers = {"Content-Type": "application/json", **self._door.headers}
            connection.request(method, path, sent, headers)
            _until(connection, deadline)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


def _until(connection: http.client.HTTPConnection, deadline: float) -> None:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    connection.sock.settimeout(left_s)


def _known(kind: Any, values: dict[str, Any]) -> dict[str, Any]:
    """What this version knows of what the proxy, perhaps a newer one, has said."""
    return {field.name: values[field.name] for field in fields(kind)}
