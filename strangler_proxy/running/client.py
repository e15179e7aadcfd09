"""Ask the proxy that serves a configuration file, over its local socket."""

import http.client
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strangler_proxy.config import ConfigError, Problem
from strangler_proxy.running.counts import SideCounts
from strangler_proxy.running.socket_path import control_socket

_TIMEOUT_S = 30.0


class ProxyUnreachable(Exception):
    """No proxy serves this file, or it does not answer."""


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


class RunningProxy:
    """The proxy that serves a configuration file."""

    def __init__(self, config_path: Path) -> None:
        self._config_path = Path(config_path)

    def status(self) -> Status:
        """Who serves what; ProxyUnreachable when nobody does."""
        answer = self._ask("GET", "/status")
        workers = tuple(WorkerStatus(**worker) for worker in answer.pop("workers"))
        return Status(**answer, workers=workers)

    def counts(self) -> dict[str, dict[str, SideCounts]]:
        """Figures by route and upstream since the proxy started, over all workers."""
        return {
            route: {upstream: SideCounts.from_json(side) for upstream, side in sides.items()}
            for route, sides in self._ask("GET", "/counts").items()
        }

    def reload(self) -> int:
        """Have the file read again; returns its generation once every worker serves it.

        Raises ConfigError when the proxy refuses the file (and keeps the old one).
        """
        return int(self._ask("POST", "/reload")["generation"])

    def _ask(self, method: str, path: str) -> Any:
        connection = _UnixConnection(control_socket(self._config_path))
        try:
            connection.request(method, path)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException) as fault:
            raise ProxyUnreachable(
                f"no proxy answers for {self._config_path}: "
                f"start one with  strangler serve -c {self._config_path}"
            ) from fault
        finally:
            connection.close()
        if response.status == 422:
            raise ConfigError([Problem(**problem) for problem in answer["problems"]])
        if response.status != 200:
            raise ProxyUnreachable(f"the proxy answered {response.status}: {answer}")
        return answer


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(str(self._path))
