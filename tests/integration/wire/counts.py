"""How much of its upstream's pool a proxy uses."""

from __future__ import annotations

import threading

from tests.integration.wire.conftest import Bench
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
