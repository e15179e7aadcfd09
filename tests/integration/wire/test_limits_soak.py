"""Whatever upstreams, clients and operators do at the same time, all that was taken is given back,
and no client gets an answer that is another's."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest

from tests.integration.wire.conftest import Bench
from tests.wire_tools.client import Client
from tests.wire_tools.ports import free_port
from tests.wire_tools.proxy import Proxy, config, until
from tests.wire_tools.stream import Broken, Ended
from tests.wire_tools.upstream import Peer, Request

CLIENTS, ROUNDS = 12, 25


class Whims:
    """A script that does anything, by chance."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def __call__(self, peer: Peer) -> None:
        while True:
            request = peer.head()
            if self._random.random() < 0.1:  # before the body is read
                peer.answer(b"", status="503 Early")
                return
            peer.body_of(request)
            if not self._answer(peer, request):
                return

    def _answer(self, peer: Peer, request: Request) -> bool:
        mark = request.target.encode()
        match self._random.randrange(14):
            case 0:
                peer.reset()
            case 1:
                peer.send(b"garbage\r\n\r\n")
            case 2:
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n%b" % mark)
            case 3:
                return False
            case 4:
                time.sleep(0.03)
                peer.answer(b'"%b"' % mark)
                return True
            case 5:
                peer.answer(b"no", status="404 No")
                return True
            case 6 | 7:
                peer.answer(b"bad" * 1000, status="503 Busy")
                return True
            case 8:
                size = len(mark) + 2
                peer.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n"' % size)
                peer.send(b'%b"\r\n0\r\n\r\n' % mark)
                return True
            case 9:
                peer.answer(b'"%b"' % mark, "Connection: close")
            case 10:
                peer.answer(b'"%b"' % mark)
                peer.send(b"surplus")
                return True
            case _:
                peer.answer(b'"%b"' % mark)
                return True
        return False


def settings(urls: list[str], **more: Any) -> dict[str, Any]:
    return {
        "upstreams": {
            "many": {
                "urls": urls, "max_connections": 4, "queue": 6, "eject": {"for_s": 1},
                "breaker": {"ratio": 0.8, "least_requests": 20, "open_s": 0.2}, "idle_s": 2,
            },
            "one": {"url": urls[0], "max_connections": 3, "breaker": {"open_s": 0.1}},
        },
        "routes": [
            {
                "name": "retried", "match": "/retried/<n>", "control": "one", "candidate": "many",
                "serve": {"candidate_percent": 50, "sticky": "header:x-who"},
                "when_open": "control", "rate_limit": "100000/hour", "total_s": 5,
                "retry": {"most": 2, "backoff_s": 0.01},
            },
            {
                "name": "whole", "match": "GET /whole/<n>",
                "compose": {
                    "parts": {
                        "a": {"get": "/retried/{n}a", "fallback": None},
                        "b": {"get": "/plain/{n}b", "fallback": None, "timeout_s": 0.5},
                        "c": {"get": "/plain/{n}c", "timeout_s": 2},
                    }
                },
            },
        ],
        **more,
    }  # fmt: skip


class Customer:
    """A client that asks, and hangs up when it likes."""

    def __init__(self, port: int, number: int) -> None:
        self._port, self._number = port, number
        self._random = random.Random(number)
        self.mixed_up: list[str] = []

    def run(self) -> None:
        for at in range(ROUNDS):
            try:
                with Client(self._port, timeout_s=20) as client:
                    self._talk(client, f"{self._number}-{at}")
            except (Broken, Ended, ConnectionError):
                continue  # an answer was cut, which is how this client learns of it

    def _talk(self, client: Client, name: str) -> None:
        asked = []
        for turn in range(self._random.randrange(1, 5)):
            kind = self._random.choice(["retried", "plain", "whole"])
            method = "GET" if kind == "whole" else self._random.choice(["GET", "PUT", "POST"])
            body = None if method == "GET" else b"x" * self._random.choice([0, 10, 90_000])
            asked.append((kind, f"/{kind}/{name}-{turn}"))
            client.request(method, asked[-1][1], f"X-Who: {name}", body=body)
            if self._random.random() < 0.1:
                client.reset()
                return
        for kind, target in asked:
            answer = client.answer()
            if answer.status == 200 and (kind == "whole" or answer.body[:1] == b'"'):
                own = target.split("/")[2] if kind == "whole" else target
                if own.encode() not in answer.body and answer.body.count(b"null") < 2:
                    self.mixed_up.append(f"{target}: {answer.body!r}")


def nothing_is_held(proxy: Proxy) -> bool:
    def held() -> list[Any]:
        plane = proxy.plane
        pools = [*plane.pools.values(), *plane._retired]
        figures = [
            number
            for pool in pools
            for number in (pool.in_use, pool.retrying, pool.waiting, len(pool._dials))
        ]
        figures += [e.in_flight for pool in pools for e in pool.endpoints]
        return [*filter(None, figures), *plane.connections, *plane._tasks]

    return not proxy.call(held)


@pytest.mark.parametrize("seed", range(3))
def test_all_that_was_taken_is_given_back(bench: Bench, seed: int) -> None:
    ups = [bench.upstream(Whims(seed * 10 + number)) for number in range(3)]
    urls = [up.url for up in ups] + [f"http://127.0.0.1:{free_port()}"]
    proxy = bench.serve(**settings(urls))
    customers = [Customer(proxy.port, seed * 100 + number) for number in range(CLIENTS)]
    threads = [threading.Thread(target=customer.run) for customer in customers]
    for thread in threads:
        thread.start()
    whim, turn = random.Random(seed), 0
    while any(thread.is_alive() for thread in threads):
        turn += 1
        some = whim.sample(urls, whim.randrange(1, 5))
        if turn % 5 == 0:
            proxy.install(config(**settings(whim.sample(urls, 4), default_timeout_s=50 + turn)))
        else:
            proxy.place("many", *some)
        proxy.pass_time(0.05)
        threads[turn % CLIENTS].join(0.02)
    assert [line for customer in customers for line in customer.mixed_up] == []
    until(lambda: nothing_is_held(proxy), "all is given back", 15)
    assert sum(len(up.requests) for up in ups) > 200
