"""An upstream that is down, slow, wrong or dying: the client gets a clear answer or a broken
connection, never a cut body as whole, and nothing is done twice."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.integration.wire.conftest import Bench
from tests.wire_tools.client import Answer, Client
from tests.wire_tools.proxy import until
from tests.wire_tools.stream import Broken, Ended
from tests.wire_tools.upstream import Peer, echo


def problem(answer: Answer, status: int) -> str:
    """The detail of a problem that an upstream caused."""
    assert answer.status == status
    assert answer.header("Content-Type") == b"application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert told["request_id"].encode() == answer.header("X-Request-ID")
    return str(told["detail"])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


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


def dying(said: bytes, how: str = "end", then: bytes = b"") -> object:
    """A script: read the request, say this, and die."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(said)
        if how == "reset":
            # The reset must not overtake what was said.
            until(lambda: peer.number >= 0, "")
            peer.reset()

    return script


NOT_HTTP = {
    "garbage": b"garbage\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    b"1\r\nx\r\n0\r\n\r\n",
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


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_idempotent_request_is_sent_again_when_its_kept_connection_turns_out_closed(
    bench: Bench, method: str
) -> None:
    def script(peer: Peer) -> None:
        peer.echo(peer.request())
        if peer.number == 0:
            peer.request()  # read, and closed without an answer
            return
        echo(peer)

    upstream = bench.before(script)
    client = bench.client()
    assert client.ask("/first").status == 200
    client.request(method, "/again", body=b"body" if method == "PUT" else None)
    assert client.answer(method).status == 200
    assert upstream.targets == ["/first", "/again", "/again"]
    if method == "PUT":
        assert upstream.requests[-1].body == b"body"


@pytest.mark.parametrize("method", ["POST", "PATCH", "PROPPATCH"])
@pytest.mark.parametrize("reuse", ["safe", "always", "never"])
def test_request_that_must_not_be_repeated_is_sent_once(
    bench: Bench, method: str, reuse: str
) -> None:
    def script(peer: Peer) -> None:
        while True:
            if peer.request().target == "/die":
                return
            peer.answer(b"ok")

    upstream = bench.before(script, {"reuse": reuse})
    client = bench.client()
    assert client.ask("/first").status == 200
    client.request(method, "/die", body=b"1")
    problem(client.answer(), 502)
    assert upstream.targets == ["/first", "/die"]


def test_idempotent_request_is_repeated_once_only(bench: Bench) -> None:
    upstream = bench.before(lambda peer: peer.request() and None)
    problem(bench.client().ask("/"), 502)
    assert upstream.targets == ["/", "/"]


def test_request_whose_answer_has_begun_is_not_repeated(bench: Bench) -> None:
    upstream = bench.before(dying(b"HTTP/1.1 200 O"))  # type: ignore[arg-type]
    problem(bench.client().ask("/"), 502)
    assert upstream.targets == ["/"]


def test_body_too_large_to_keep_is_not_repeated_and_a_kept_one_is_whole(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        request = peer.request()
        if upstream.targets.count(request.target) == 2:
            peer.echo(request)
            peer.request()  # the next one is read as well before it is left without an answer

    upstream = bench.before(script)
    client = bench.client()
    body = bytes(range(256)) * 250
    client.request("PUT", "/small", "Content-Length: 64000")
    client.send(body[:30000])
    until(lambda: upstream.heads, "it has begun")
    client.send(body[30000:])
    assert client.answer().json()["body"].encode("latin-1") == body
    client.request("PUT", "/large", body=body * 8)
    problem(client.answer(), 502)
    assert upstream.targets == ["/small", "/small", "/large"]


@pytest.mark.parametrize("reuse", ["safe", "never"])
def test_post_is_not_sent_on_a_connection_that_the_upstream_has_closed(
    bench: Bench, reuse: str
) -> None:
    def script(peer: Peer) -> None:
        peer.echo(peer.request())  # keep-alive promised, and then closed

    bench.before(script, {"reuse": reuse})
    client = bench.client()
    for number in range(30):
        client.request("POST", f"/{number}", body=b"x")
        assert client.answer().status == 200


def test_kept_connection_that_is_known_to_be_closed_is_not_used_for_a_post(bench: Bench) -> None:
    closed = threading.Event()

    def script(peer: Peer) -> None:
        peer.echo(peer.request())
        peer.sock.close()
        closed.set()

    bench.before(script, {"reuse": "always"})
    client = bench.client()
    for number in range(30):
        client.request("POST", f"/{number}", body=b"x")
        assert client.answer().status == 200
        assert closed.wait(5)
        closed.clear()


def test_unsolicited_bytes_on_an_idle_connection_answer_nobody(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.echo(peer.request())
        if peer.number == 0:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            assert peer.gone()
            gone.set()

    gone = threading.Event()
    bench.before(script)
    client = bench.client()
    assert client.ask("/1").json()["connection"] == 0
    assert gone.wait(5)
    assert client.ask("/2").json()["connection"] == 1


def test_kept_connection_with_something_unread_is_not_lent(bench: Bench) -> None:
    speak, spoken = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.echo(peer.request())
        assert speak.wait(5)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        spoken.set()
        assert peer.gone()

    bench.before(script)
    assert bench.client().ask("/1").json()["connection"] == 0

    def lent_before_the_loop_has_read() -> object:
        speak.set()
        assert spoken.wait(5)
        pool = bench.proxy.plane.pools["monolith"]
        return pool.endpoints[0].lend(bench.proxy.plane.now)

    assert bench.proxy.call(lent_before_the_loop_has_read) is None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "surplus", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"x", b"\r\n", b"\0" * 100]
)
def test_surplus_after_an_answer_poisons_that_connection_only(
    bench: Bench, method: str, surplus: bytes
) -> None:
    def script(peer: Peer) -> None:
        while True:
            request = peer.request()
            length = 2 if method == "HEAD" else 0
            peer.send(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX: %b\r\n\r\n%b"
                % (length, request.target.encode(), surplus)
            )

    bench.before(script)
    client = bench.client()
    head = f"{method} /%d HTTP/1.1\r\nHost: h\r\n\r\n"
    client.send((head % 1 + head % 2 + head % 3).encode())
    for number in (1, 2, 3):
        assert client.answer(method).header("X") == b"/%d" % number


def test_body_longer_than_its_length_is_cut_there(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef")

    bench.before(script)
    client = bench.client()
    for _ in range(3):
        assert client.ask("/").body == b"abc"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_bodiless_answer_with_a_length_does_not_swallow_the_next(
    bench: Bench, status: bytes
) -> None:
    def script(peer: Peer) -> None:
        while True:
            if peer.request().target == "/bodiless":
                peer.send(b"HTTP/1.1 %b\r\nContent-Length: 5\r\nETag: x\r\n\r\n" % status)
            else:
                peer.answer(b"next")

    bench.before(script)
    client = bench.client()
    client.get("/bodiless")
    client.get("/next")
    answer = client.answer()
    assert answer.header("Content-Length") == (None if answer.status == 204 else b"5")
    assert client.answer().body == b"next"


def test_trailers_of_one_answer_do_not_show_up_in_the_next(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        while True:
            if peer.request().target == "/trailers":
                peer.send(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"1\r\na\r\n0\r\nX-Sum: 1\r\nSet-Cookie: stolen\r\n\r\n"
                )
            else:
                peer.answer(b"next")

    upstream = bench.before(script)
    for version in ("1.0", "1.1"):
        client = bench.client()
        client.send(f"GET /trailers HTTP/{version}\r\nHost: h\r\n\r\n".encode())
        answer = client.answer()
        assert answer.body == b"a"
        assert bench.client().ask("/next").headers == [(b"Content-Length", b"4")]
    assert upstream.connections == 1


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
