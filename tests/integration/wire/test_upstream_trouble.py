"""An upstream that is down, slow, wrong or dying: the client gets a clear answer or a broken
connection, never a cut body as whole."""

from __future__ import annotations

import threading

import pytest

from tests.integration.wire.conftest import Bench
from tests.integration.wire.trouble import dying, problem
from tests.wire_tools.client import Client
from tests.wire_tools.ports import free_port
from tests.wire_tools.proxy import until
from tests.wire_tools.stream import Broken, Ended
from tests.wire_tools.upstream import Peer


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_upstream_that_is_down_is_answered_502_and_the_client_may_go_on(
    bench: Bench, method: str
) -> None:
    bench.serve(upstreams={"monolith": f"http://127.0.0.1:{free_port()}"})
    client = bench.client()
    for _ in range(2):
        client.request(method, "/", "X-Request-ID: mine", body=b"x")
        answer = client.answer()
        assert "monolith" in problem(answer, 502)
        assert answer.header("X-Request-ID") == b"mine"


def test_problem_for_head_has_no_body(bench: Bench) -> None:
    bench.serve(upstreams={"monolith": f"http://127.0.0.1:{free_port()}"})
    client = bench.client()
    for _ in range(2):
        client.request("HEAD", "/")
        assert client.answer("HEAD").status == 502


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b"])
def test_upstream_whose_name_leads_nowhere_is_answered_502(bench: Bench, host: str) -> None:
    bench.serve(upstreams={"monolith": f"http://{host}:1"})
    assert bench.client(timeout_s=15).ask("/").status in (502, 504)


def test_silent_upstream_is_answered_504_after_the_routes_time(bench: Bench) -> None:
    silent = bench.before(
        lambda peer: peer.request() and peer.gone() and None, default_timeout_s=20
    )
    client = bench.client()
    client.get("/")
    until(lambda: silent.requests, "it is there")
    bench.proxy.pass_time(19)
    bench.proxy.pass_time(2)
    assert "20 s" in problem(client.answer(), 504)


def test_upstream_that_stalls_in_mid_body_breaks_the_clients_connection(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        peer.gone()

    bench.before(script, default_timeout_s=20)
    client = bench.client()
    client.get("/")
    assert client.head().status == 200
    bench.proxy.pass_time(21)
    with pytest.raises(Broken):
        client.stream.exactly(100)


CUT = {
    "counted": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    "in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n12345",
    "before the last line": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
    "in trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y",
}


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("cut", CUT.values(), ids=CUT.keys())
def test_cut_answer_is_never_passed_on_as_whole(
    bench: Bench, cut: bytes, version: str, how: str
) -> None:
    bench.before(dying(cut, how))
    client = bench.client()
    client.send(f"GET / HTTP/{version}\r\nHost: h\r\n\r\n".encode())
    with pytest.raises((Broken, Ended)):
        client.answer()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_answer_until_close_is_whole_at_the_end_and_broken_at_a_reset(
    bench: Bench, version: str
) -> None:
    ends = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n" + b"x" * 1000)
        assert ends.wait(10)
        if peer.number:
            peer.reset()

    bench.before(script)
    for whole in (True, False):
        client = bench.client()
        client.send(f"GET / HTTP/{version}\r\nHost: h\r\n\r\n".encode())
        answer = client.head()
        assert (answer.header("Transfer-Encoding") is None) == (version == "1.0")
        if version == "1.0":
            assert client.stream.exactly(1000)
        ends.set()
        if whole:
            client.body_of(answer)
            assert len(answer.body) == (1000 if version == "1.1" else 0)
            ends.clear()
        else:
            with pytest.raises(Broken):
                client.body_of(answer)


NOT_HTTP = {
    "garbage": b"garbage\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    b"1\r\nx\r\n0\r\n\r\n",
    "tab behind the coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\t\r\n\r\n"
    b"1\r\nx\r\n0\r\n\r\n",
    "status of no class": b"HTTP/1.1 050 Odd\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "coding without chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "folded": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "bad name": b"HTTP/1.1 200 OK\r\nX Y: a\r\nContent-Length: 0\r\n\r\n",
    "NUL": b"HTTP/1.1 200 OK\r\nX: a\0\r\nContent-Length: 0\r\n\r\n",
    "CR in a value": b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
    "unasked upgrade": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
    b"Upgrade: websocket\r\n\r\nframes",
    "upgrade after a hint": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "garbage after a hint": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\ngarbage\r\n\r\n",
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "a hint alone": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
}


@pytest.mark.parametrize("said", NOT_HTTP.values(), ids=NOT_HTTP.keys())
@pytest.mark.parametrize("step", [None, 1])
def test_answer_that_is_not_http_is_answered_502_and_the_client_may_go_on(
    bench: Bench, said: bytes, step: int | None
) -> None:
    def script(peer: Peer) -> None:
        request = peer.request()
        if request.target == "/good":
            peer.echo(request)
            return
        for at in range(0, len(said), step or len(said) or 1):
            peer.send(said[at : at + (step or len(said))])

    bench.before(script, {"reuse": "never"})
    client = bench.client()
    client.request("POST", "/bad")
    problem(client.answer(), 502)
    client.get("/good")
    assert client.answer().json()["target"] == "/good"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 3_000_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500_000,
    ],
    ids=["one long header", "many headers"],
)
def test_endless_head_of_an_answer_is_cut_off(bench: Bench, said: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(said)
        peer.gone()

    bench.before(script)
    problem(bench.client().ask("/"), 502)


def test_early_refusal_reaches_a_client_that_still_uploads(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.head()
        peer.answer(b"too large", "Connection: close", status="413 Content Too Large")
        # Closing with unread input resets the connection, as many servers do.

    bench.before(script)
    for _ in range(10):
        client = bench.client()
        client.request("POST", "/", "Content-Length: 50000000")
        sender = threading.Thread(target=upload, args=(client, 50_000_000))
        sender.start()
        answer = client.answer()
        assert (answer.status, answer.body) == (413, b"too large")
        assert answer.header("Connection") == b"close"
        sender.join()


def upload(client: Client, size: int) -> None:
    piece = b"x" * 50_000
    try:
        for _ in range(size // len(piece)):
            client.send(piece)
    except OSError:
        return  # refused, and closed


def test_upstream_may_answer_and_leave_a_large_body_unread(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.head()
        peer.answer(b"enough")
        peer.gone()

    bench.before(script)
    client = bench.client()
    client.request("POST", "/", "Content-Length: 50000000")
    sender = threading.Thread(target=upload, args=(client, 50_000_000))
    sender.start()
    assert client.answer().body == b"enough"
    client.close()
    sender.join()


def test_failures_are_counted_against_upstreams_and_never_for_clients(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        request = peer.request()
        if request.target == "/error":
            peer.answer(b"", status="500 Oh")
        elif request.target == "/hang":
            peer.gone()

    bench.before(script)
    bench.client().ask("/error")
    bench.client().ask("/die")
    client = bench.client()
    client.get("/hang")
    tally = bench.proxy.plane.tallies["(default)", "monolith"]
    until(lambda: bench.proxy.call(lambda: bench.proxy.plane.pools["monolith"].in_use), "it hangs")
    client.reset()
    until(lambda: not bench.proxy.call(lambda: bench.proxy.plane.pools["monolith"].in_use), "gone")
    assert (tally.requests, tally.failures) == (2, 2)
