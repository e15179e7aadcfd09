"""Clients whose bodies drip, before a real service with two threads: who pays for them."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from scripts.processes import Fleet, Program, free_ports
from tests.e2e.faults.conftest import Stage, Times, within
from tests.wire_tools.client import Client
from tests.wire_tools.proxy import until

CROWD = 20
GRACE_S = 3.0
LENGTHS = (2_000, 1_000_000, 17_000_000)
AT_ONCE = (10, 200_000, 200_000)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    """A service by gunicorn: one process, two threads."""
    (port,) = free_ports(1)
    command = ("gunicorn", "-k", "gthread", "--workers", "1", "--threads", "2")
    variables = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ends = ("--no-control-socket", "--graceful-timeout", "1")
    app = ("-b", f"127.0.0.1:{port}", "tests.e2e.faults.few_threads:create_app()")
    with Fleet(tmp_path / "logs") as fleet:
        fleet.start(Program("few", (*command, *ends, *app), variables, port, health="/users/1"))
        yield f"http://127.0.0.1:{port}"


class Crowd:
    """Clients that send much or little of a body at once, and then a byte ten times a second."""

    def __init__(self, port: int, lengths: tuple[int, ...], at_once: tuple[int, ...]) -> None:
        self.began = monotonic()
        self.answered: list[tuple[int, float]] = []
        """Status and moment of each answer."""
        self._clients = [Client(port, timeout_s=20) for _ in range(CROWD)]
        for number, client in enumerate(self._clients):
            kind = number % len(lengths)
            client.request("POST", "/login", f"Content-Length: {lengths[kind]}")
            client.send(b"x" * at_once[kind])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._drip)
        self._thread.start()

    def _drip(self) -> None:
        dripping = list(self._clients)
        while dripping and not self._stop.wait(0.1):
            heard, _, _ = select.select([client.sock for client in dripping], [], [], 0)
            for client in [client for client in dripping if client.sock in heard]:
                self.answered.append((client.answer().status, monotonic()))
                dripping.remove(client)
            for client in dripping:
                client.send(b"x")

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        for client in self._clients:
            client.close()


def test_dripping_bodies_hold_no_thread_and_are_ended_in_time(
    stage: Stage, service: str, times: Times
) -> None:
    served = stage.proxy(
        upstreams={"main": {"url": service, "breaker": {"failures": 1}}},
        routes=[{"name": "main", "match": "/<path:any>", "control": "main"}],
        timeouts={"body_grace_s": GRACE_S},
    )
    crowd, longest_s = Crowd(served.port, LENGTHS, AT_ONCE), 0.0
    try:
        while len(crowd.answered) < CROWD:
            began = monotonic()
            with Client(served.port, timeout_s=1) as client:
                assert client.ask("/users/1").body == b"one"
            longest_s = max(longest_s, monotonic() - began)
            assert began - crowd.began < GRACE_S + 10, crowd.answered
    finally:
        crowd.close()
    assert {status for status, _ in crowd.answered} == {408}
    ended = sorted(moment for _, moment in crowd.answered)
    assert ended[0] - crowd.began > GRACE_S
    last_s = within(ended[-1], GRACE_S + 3, of=crowd.began)
    times.tell(longest_wait_s=longest_s, last_ended_s=last_s)
    assert "breaker" not in served.log.read_text()


def test_bodies_that_are_not_gathered_hold_their_threads_for_the_grace(
    stage: Stage, service: str, times: Times
) -> None:
    served = stage.proxy(
        upstreams={"main": {"url": service, "breaker": {"failures": 1}}},
        routes=[{"name": "main", "match": "/<path:any>", "control": "main", "timeout_s": 30}],
        limits={"gather_bytes": 0},
        timeouts={"body_grace_s": GRACE_S},
    )
    crowd = Crowd(served.port, LENGTHS, AT_ONCE)
    try:
        with Client(served.port, timeout_s=20) as client:
            assert client.ask("/users/1").body == b"one"
        free_s = within(monotonic(), GRACE_S + 3, of=crowd.began)
        until(lambda: len(crowd.answered) == CROWD, "all are ended")
    finally:
        crowd.close()
    assert {status for status, _ in crowd.answered} == {408}
    times.tell(free_again_s=free_s)
    assert "breaker" not in served.log.read_text()
