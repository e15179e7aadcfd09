"""One upstream is slow and all its places are taken: what that costs the requests of another.

Nobody waits for the crowd, which is answered when the test is long over: the p99 beside it is as it
is alone, or so short that who was scheduled first explains it. And the workers need no more CPU
time for a request, which a busy machine does not change. Rounds with and without the crowd
alternate, in the order ABBA, so that whatever else the machine does falls on both alike.
"""

from __future__ import annotations

import gc
import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

from scripts.benchmarks.processes import cpu_ns
from tests.e2e.faults.conftest import Stage, Times
from tests.e2e.proxy.conftest import Served
from tests.wire_tools.proxy import until

WORKERS = 2
PLACES = 4
QUEUE = 4
CROWD = 48
ASK_AGAIN_S = 4.0
ROUNDS = 8
SAMPLES = 1000
MOST = 1.5
SCHEDULED_MS = 20.0
_CALM = b"GET /calm?1 HTTP/1.1\r\nHost: a\r\n\r\n"
_SLOW = b"GET /slow?1 HTTP/1.1\r\nHost: a\r\n\r\n"


def connected(port: int, stack: ExitStack) -> socket.socket:
    sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def asked(sock: socket.socket, request: bytes) -> bytes:
    """Ask, and wait for the whole of an answer with a counted body; its head."""
    sock.sendall(request)
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    left = length - len(body)
    while left > 0:
        left -= len(_more(sock))
    return head


def _more(sock: socket.socket) -> bytes:
    data = sock.recv(65536)
    if not data:
        raise ConnectionError("the proxy closed the connection")
    return data


class Crowd:
    """Clients that want the slow upstream: some are in it, some in its queue, the rest refused.

    Who is refused asks again after a while. They leave by a reset: after an orderly end alone a
    client may still want its answer.
    """

    def __init__(self, port: int) -> None:
        self._over = threading.Event()
        self._stack = ExitStack()
        self._socks = [connected(port, self._stack) for _ in range(CROWD)]
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        ask_at = dict.fromkeys(self._socks, 0.0)
        while not self._over.is_set():
            for sock in [sock for sock, moment in ask_at.items() if moment < perf_counter()]:
                ask_at[sock] = float("inf")
                sock.sendall(_SLOW)
            for sock in select.select(self._socks, [], [], 0.2)[0]:
                assert sock.recv(65536).startswith(b"HTTP/1.1 503 ")
                ask_at[sock] = perf_counter() + ASK_AGAIN_S

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()
        for sock in self._socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._stack.close()


@contextmanager
def crowd(served: Served) -> Iterator[None]:
    """Every place of the slow upstream is taken, and stays so."""
    full = (WORKERS * PLACES, WORKERS * QUEUE)
    with Crowd(served.port):
        until(lambda: load_of(served, "slow") == full, "every place is taken")
        yield
        assert load_of(served, "slow") == full, "the crowd has left too early"
    until(lambda: load_of(served, "slow") == (0, 0), "nobody is left")


def load_of(served: Served, name: str) -> tuple[int, int]:
    row: dict[str, Any] = next(r for r in served.running.upstreams() if r["name"] == name)
    return row["in_flight"], row["waiting"]


@dataclass(frozen=True)
class Rounds:
    """Of each round the 99th percentile that clients saw, and the workers' CPU time a request."""

    p99_ms: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    def add(self, served: Served, socks: list[socket.socket]) -> None:
        """SAMPLES requests, one after the other."""
        workers = [worker.pid for worker in served.status().workers]
        times = []
        gc.disable()
        used = cpu_ns(workers)
        try:
            for number in range(SAMPLES):
                sock = socks[number % len(socks)]
                began = perf_counter()
                asked(sock, _CALM)
                times.append(perf_counter() - began)
        finally:
            gc.enable()
        self.cpu_us.append((cpu_ns(workers) - used) / SAMPLES / 1000)
        self.p99_ms.append(sorted(times)[SAMPLES * 99 // 100] * 1000)


def measured(served: Served) -> tuple[Rounds, Rounds]:
    """Without the crowd, and with it."""
    alone, beside = Rounds(), Rounds()
    with ExitStack() as stack:
        socks = [connected(served.port, stack) for _ in range(8)]  # some in each worker
        Rounds().add(served, socks)
        for number in range(ROUNDS):
            for crowded in (False, True) if number % 2 else (True, False):
                if crowded:
                    with crowd(served):
                        beside.add(served, socks)
                else:
                    alone.add(served, socks)
    return alone, beside


def test_slow_upstream_at_its_limit_costs_the_requests_of_another_route_nothing(
    stage: Stage, times: Times
) -> None:
    slow = stage.service("slow")
    served = stage.proxy(
        workers=WORKERS,
        upstreams={
            "slow": {
                "url": slow.url,
                "max_connections": PLACES,
                "queue": QUEUE,
                "queue_timeout_s": 300,
            }
        },
        routes=[{"name": "slow", "match": "/slow", "control": "slow", "timeout_s": 300}],
    )
    slow.behave("slow", 300)
    alone, beside = measured(served)
    ratio = median(beside.cpu_us) / median(alone.cpu_us)
    times.tell(
        p99_alone_ms=median(alone.p99_ms),
        p99_beside_ms=median(beside.p99_ms),
        cpu_alone_us=median(alone.cpu_us),
        cpu_beside_us=median(beside.cpu_us),
        ratio=ratio,
    )
    assert ratio <= MOST
    assert median(beside.p99_ms) <= max(MOST * median(alone.p99_ms), SCHEDULED_MS)
