"""How much of its upstream's pool a proxy uses."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from tests.integration.wire.conftest import Bench
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer, Script


def in_use(bench: Bench) -> int:
    return bench.proxy.call(lambda: bench.proxy.plane.pools["monolith"].in_use)


def queued(bench: Bench) -> int:
    return bench.proxy.call(lambda: len(bench.proxy.plane.pools["monolith"]._waiting))


def connections(bench: Bench) -> int:
    return bench.proxy.call(lambda: len(bench.proxy.plane.connections))


def echo_when(gate: threading.Event) -> Script:
    """An upstream that answers, once the gate is open."""

    def script(peer: Peer) -> None:
        while True:
            request = peer.request()
            assert gate.wait(10)
            peer.echo(request)

    return script


def first_logged(log: Path) -> dict[str, Any]:
    """The first line of an access log, once it is written."""
    until(lambda: log.exists() and log.read_text().endswith("\n"), "it is logged")
    line: dict[str, Any] = json.loads(log.read_text().splitlines()[0])
    return line
