"""What a step asks by itself is answered wholly and in time, or is no answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from strangler_proxy.steps.gates import Sample
from strangler_proxy.steps.gates.traffic import Unobservable
from strangler_proxy.steps.http import ask

Peer = Callable[[socket.socket, bytes], None]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


class Listening:
    """A server that does with its one caller what a test says."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(20)
        self.origin = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.asked = b""
        self.over = threading.Event()
        self._threads: list[threading.Thread] = []

    def then(self, peer: Peer) -> None:
        thread = threading.Thread(target=self._serve, args=(peer,))
        thread.start()
        self._threads.append(thread)

    def _serve(self, peer: Peer) -> None:
        connected, _ = self._socket.accept()
        with connected:
            self.asked = connected.recv(4096)
            peer(connected, self.asked)

    def close(self) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join(30)
        self._socket.close()


@pytest.fixture
def peer() -> Iterator[Listening]:
    listening = Listening()
    yield listening
    listening.close()


def says(*parts: bytes) -> Peer:
    return lambda connected, _: connected.sendall(b"".join(parts))


def got(peer: Listening, method: str = "GET", target: str = "/a?b=c") -> object:
    answer = ask(peer.origin, Sample(method, target), 5.0)
    return answer.status, answer.body


def test_it_is_asked_as_it_stands_and_the_answer_is_taken_as_it_is(peer: Listening) -> None:
    peer.then(
        says(
            b"HTTP/1.1 302 Found\r\nLocation: /b\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n",
            b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
        )
    )
    answer = ask(f"{peer.origin}/", Sample("GET", "/a?b=c&d=%2F"))
    assert (answer.status, answer.body) == (302, b"\x1f\x8b\x08")
    assert [text for name, text in answer.headers if name == "Set-Cookie"] == ["a=1", "b=2"]
    assert peer.asked.startswith(b"GET /a?b=c&d=%2F HTTP/1.1\r\n")
    assert b"Accept-Encoding: identity\r\n" in peer.asked


def test_what_is_no_address_letter_is_written_as_one(peer: Listening) -> None:
    peer.then(says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    assert got(peer, target="/images/ä b.jpg#top") == (200, b"")
    assert peer.asked.startswith(b"GET /images/%C3%A4%20b.jpg HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        ((b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nab\r\n0\r\n\r\n"), b"ab"),
        ((b"\r\n", b"until it closes"), b"until it closes"),
    ],
)
def test_a_body_of_any_framing_is_read(
    peer: Listening, answer: tuple[bytes, bytes], body: bytes
) -> None:
    peer.then(says(b"HTTP/1.1 200 OK\r\n", *answer))
    assert got(peer) == (200, body)


def test_an_answer_to_head_has_no_body_whatever_its_length_says(peer: Listening) -> None:
    peer.then(says(HEAD))
    assert got(peer, "HEAD") == (200, b"")


@pytest.mark.parametrize(
    "answer",
    [
        (HEAD, b"half"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\nhalf\r\n"),
        (b"nonsense\r\n\r\n",),
        (b"",),
    ],
    ids=["length", "chunks", "nonsense", "nothing"],
)
def test_an_answer_that_breaks_off_is_none(peer: Listening, answer: tuple[bytes, ...]) -> None:
    peer.then(says(*answer))
    with pytest.raises(Unobservable, match="/a does not answer: "):
        ask(peer.origin, Sample("GET", "/a"))


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX: ", HEAD, b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_answer_that_drips_is_given_up_in_time(peer: Listening, head: bytes) -> None:
    def drip(connected: socket.socket, _: bytes) -> None:
        connected.sendall(head)
        while not peer.over.wait(0.1):
            try:
                connected.sendall(b"x")
            except OSError:
                return

    peer.then(drip)
    began = time.monotonic()
    with pytest.raises(Unobservable, match=r"no whole answer within 0\.5 s"):
        ask(peer.origin, Sample("GET", "/a"), 0.5)
    assert time.monotonic() - began < 5


def test_one_who_is_not_there_and_one_who_is_not_trusted_are_told(peer: Listening) -> None:
    peer.then(lambda *_: None)
    with pytest.raises(Unobservable, match="does not answer: "):
        ask(peer.origin.replace("http", "https"), Sample("GET", "/a"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unobservable, match="Connection refused"):
        ask(f"http://127.0.0.1:{port}", Sample("GET", "/a"))
