"""What a client has still to send of a refused request is read, but never for longer than said."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.processes import Fleet, Program, free_ports
from tests.wire_tools.client import Client

MOST_S = 1.0
SLACK_S = 2.0
FRAMED = {
    "counted": ("Content-Length: 100000", b"x"),
    "chunked": ("Transfer-Encoding: chunked", b"1\r\nx\r\n"),
    "one chunk": ("Transfer-Encoding: chunked", b"x"),
}


@pytest.fixture(scope="module", params=["extracted.chassis.draining", "monolith.draining"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where gunicorn serves, with one thread for all."""
    (port,) = free_ports(1)
    app = f"tests.integration.draining.refusing_service:create_app('{request.param}', '{MOST_S}')"
    command = ("gunicorn", "-k", "gthread", "--workers", "1", "--threads", "1", "--keep-alive", "5")
    variables = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with Fleet(tmp_path_factory.mktemp("logs")) as fleet:
        bind = ("--no-control-socket", "-b", f"127.0.0.1:{port}", app)
        fleet.start(Program("refusing", (*command, *bind), variables, port, health="/health"))
        yield port


@pytest.fixture
def client(port: int) -> Iterator[Client]:
    with Client(port, timeout_s=20) as client:
        yield client


class Dripping:
    """Sends a piece ten times a second, so often, or until it is stopped or nobody takes it."""

    def __init__(self, client: Client, piece: bytes, times: int = 10_000) -> None:
        self._client, self._piece, self._times = client, piece, times
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        for _ in range(self._times):
            if self._stop.wait(0.1):
                return
            try:
                self._client.send(self._piece)
            except OSError:
                return

    def __enter__(self) -> Dripping:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.parametrize("framing", FRAMED)
def test_dripping_body_holds_a_thread_no_longer_than_said(client: Client, framing: str) -> None:
    line, piece = FRAMED[framing]
    client.request("POST", "/refused", line)
    if framing == "one chunk":
        client.send(b"186a0\r\n")
    began = time.monotonic()
    with Dripping(client, piece):
        assert client.answer().status == 400
        assert time.monotonic() - began < MOST_S + SLACK_S


@pytest.mark.parametrize("sent", [b"", b"x" * 500, b"x" * 70_000])
def test_stalled_body_holds_a_thread_no_longer_than_said(client: Client, sent: bytes) -> None:
    client.request("POST", "/refused", "Content-Length: 100000")
    client.send(sent)
    began = time.monotonic()
    assert client.answer().status == 400
    assert MOST_S / 2 < time.monotonic() - began < MOST_S + SLACK_S


@pytest.mark.parametrize("framing", ["counted", "one chunk"])
def test_rest_of_a_body_that_was_given_up_is_never_taken_for_a_request(
    client: Client, framing: str
) -> None:
    client.request("POST", "/refused", FRAMED[framing][0])
    client.send(b"186a0\r\nx" if framing == "one chunk" else b"x")
    assert client.answer().status == 400
    try:
        client.get("/health")
    except OSError:
        return
    assert client.ended()


def test_body_that_is_there_is_read_and_the_connection_kept(client: Client) -> None:
    for size in (0, 1, 500, 300_000, 5_000_000):
        client.request("POST", "/refused", body=b"x" * size)
        assert client.answer().status == 400
        assert client.ask("/health").body == b"well"
    client.request("POST", "/refused", "Transfer-Encoding: chunked")
    client.send(b"3\r\nabc\r\n0\r\n\r\n")
    assert client.answer().status == 400
    assert client.ask("/health").body == b"well"


def test_slow_body_that_ends_in_time_keeps_its_connection(client: Client) -> None:
    client.request("POST", "/refused", "Content-Length: 3")
    with Dripping(client, b"x", times=3):
        assert client.answer().status == 400
    assert client.ask("/health").body == b"well"
