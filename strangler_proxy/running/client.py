"""Ask the proxy that serves a configuration file, over its local socket."""

import http.client
import json
import socket
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from strangler_proxy.config import ConfigError, Problem
from strangler_proxy.running.counts import SideCounts
from strangler_proxy.running.socket_path import control_socket

_TIMEOUT_S = 30.0
_REFUSALS = (400, 404, 409, 422, 500)


class ProxyUnreachable(Exception):
    """No proxy serves this file, or it does not answer."""


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
    """The proxy that serves a configuration file."""

    def __init__(self, config_path: Path) -> None:
        self._config_path = Path(config_path)

    def status(self) -> Status:
        """Who serves what; ProxyUnreachable when nobody does."""
        answer = self._ask("GET", "/status")
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

    def reload(self, hold: str | None = None) -> int:
        """Have the file read again; returns its generation once every worker serves it.

        Under a `hold` only while every worker keeps it. Raises ConfigError when the proxy refuses
        the file (and keeps the old one).
        """
        try:
            return int(self._ask("POST", "/reload", {"hold": hold})["generation"])
        except Refused as refused:
            problem = Problem(str(self._config_path), None, "", f"not taken over: {refused}")
            raise ConfigError([problem]) from refused

    def hold(self, routes: list[str], *, seconds: float, drain_s: float, **bounds: int) -> str:
        """Park the requests of these routes in every worker, or in none; the name of the hold.

        Returns when all that had been sent before is answered, within `drain_s`. The hold ends by
        itself after `seconds`. `bounds`: `most_requests` and `most_bytes`, each worker's. Raises
        Refused when nothing is held.
        """
        order = {"routes": routes, "seconds": seconds, "drain_s": drain_s, **bounds}
        return str(self._ask("POST", "/holds", order)["hold"])

    def release(self, hold: str) -> Released:
        """Send on what is held, in order, to whoever serves now."""
        return Released(**self._ask("POST", f"/holds/{quote(hold, safe='')}/release"))

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

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        connection = _UnixConnection(control_socket(self._config_path))
        sent = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as fault:
            raise ProxyUnreachable(
                f"no proxy answers for {self._config_path}: "
                f"start one with  strangler serve -c {self._config_path}"
            ) from fault
        finally:
            connection.close()
        if response.status == 422 and "problems" in answer:
            raise ConfigError([Problem(**problem) for problem in answer["problems"]])
        if response.status in _REFUSALS and "detail" in answer:
            raise Refused(str(answer["detail"]))
        if response.status != 200:
            raise ProxyUnreachable(f"the proxy answered {response.status}: {answer}")
        return answer


def _known(kind: Any, values: dict[str, Any]) -> dict[str, Any]:
    """What this version knows of what the proxy, perhaps a newer one, has said."""
    return {field.name: values[field.name] for field in fields(kind)}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(str(self._path))
