"""Connections on both sides: pools and queues, clients that hang up, draining, TLS, new routes."""

from __future__ import annotations

import contextlib
import ssl
import threading
from pathlib import Path

import pytest

from tests.integration.wire.conftest import Bench
from tests.wire_tools.certificates import Authority
from tests.wire_tools.client import Client
from tests.wire_tools.proxy import config, until
from tests.wire_tools.stream import Broken
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


# --- the pool


def test_no_more_connections_than_allowed_and_those_who_wait_are_served_in_order(
    bench: Bench,
) -> None:
    answers = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        while True:
            request = peer.request()
            assert answers.acquire(timeout=10)
            peer.echo(request)

    upstream = bench.before(script, {"max_connections": 2})
    clients = []
    for number in range(8):
        clients.append(client := bench.client())
        client.request("GET" if number % 2 else "POST", f"/{number}")
        if number < 2:
            until(lambda: len(upstream.requests) == len(clients), "it is asked")
        else:
            until(lambda: queued(bench) == len(clients) - 2, "it waits")
    assert upstream.connections == 2
    for asked in range(3, 9):
        answers.release()
        until(lambda asked=asked: len(upstream.requests) == asked, "the next is asked")
        assert upstream.targets[-1] == f"/{asked - 1}"
    answers.release(2)
    for number, client in enumerate(clients):
        assert client.answer().json()["target"] == f"/{number}"
    assert upstream.targets == [f"/{number}" for number in range(8)]
    until(lambda: in_use(bench) == 0, "all are given back")


def test_full_queue_is_answered_503_with_retry_after(bench: Bench) -> None:
    gate = threading.Event()
    upstream = bench.before(echo_when(gate), {"max_connections": 1, "queue": 1})
    first, second, third = bench.client(), bench.client(), bench.client()
    first.get("/1")
    until(lambda: upstream.requests, "the first is asked")
    second.get("/2")
    until(lambda: queued(bench) == 1, "the second waits")
    third.request("POST", "/3", body=b"x")
    answer = third.answer()
    assert (answer.status, answer.header("Retry-After")) == (503, b"1")
    gate.set()
    assert first.answer().status == second.answer().status == 200
    assert third.ask("/4").status == 200
    assert "/3" not in upstream.targets


def test_waiting_too_long_in_the_queue_is_answered_503(bench: Bench) -> None:
    gate = threading.Event()
    upstream = bench.before(echo_when(gate), {"max_connections": 1, "queue_timeout_s": 5})
    first, second = bench.client(), bench.client()
    first.get("/1")
    until(lambda: upstream.requests, "the first is asked")
    second.request("POST", "/2", body=b"x")
    until(lambda: queued(bench) == 1, "the second waits")
    bench.proxy.pass_time(6)
    answer = second.answer()
    assert (answer.status, answer.header("Retry-After")) == (503, b"1")
    gate.set()
    assert first.answer().status == 200
    assert second.ask("/3").status == 200
    assert upstream.targets == ["/1", "/3"]


@pytest.mark.parametrize("length", [3, 5])
@pytest.mark.parametrize("how", ["reset", "close"])
def test_client_that_hangs_up_while_queued_is_never_served(
    bench: Bench, how: str, length: int
) -> None:
    gate = threading.Event()
    settings = {"max_connections": 1, "reuse": "always", "queue_timeout_s": 0.5}
    upstream = bench.before(echo_when(gate), settings)
    first, second = bench.client(), bench.client()
    first.get("/1")
    until(lambda: upstream.requests, "the first is asked")
    second.request("POST", "/2", f"Content-Length: {length}")
    second.send(b"hel")
    until(lambda: queued(bench) == 1, "the second waits")
    getattr(second, how)()
    until(lambda: queued(bench) == 0, "it waits no more")
    gate.set()
    assert first.answer().status == 200
    assert first.ask("/3").status == 200
    assert [head.target for head in upstream.heads] == ["/1", "/3"]


@pytest.mark.parametrize(
    ("reuse", "get", "post"), [("safe", 1, 3), ("always", 1, 1), ("never", 3, 3)]
)
def test_connections_are_kept_as_configured(bench: Bench, reuse: str, get: int, post: int) -> None:
    upstream = bench.before(settings={"reuse": reuse})
    client = bench.client()
    for _ in range(3):
        assert client.ask("/").status == 200
    assert upstream.connections == get
    upstream.connections = 0
    for _ in range(3):
        client.request("POST", "/", body=b"x")
        assert client.answer().status == 200
    assert upstream.connections == (post if reuse != "always" else 0)


def test_idle_upstream_connection_is_closed_after_its_time(bench: Bench) -> None:
    closed = threading.Event()

    def script(peer: Peer) -> None:
        peer.echo(peer.request())
        if peer.gone():
            closed.set()

    bench.before(script, {"idle_s": 1})
    assert bench.client().ask("/").status == 200
    bench.proxy.pass_time(2)
    assert closed.wait(5)


def test_http_1_0_upstream_and_one_that_says_close_are_not_asked_again(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        if peer.number % 2:
            peer.send(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
        else:
            peer.answer(b"ok", "Connection: close")
        peer.gone()

    upstream = bench.before(script)
    client = bench.client()
    for _ in range(4):
        assert client.ask("/").body == b"ok"
    assert upstream.connections == 4


# --- clients


@pytest.mark.parametrize("sent", [1, 10, 30, 60, 90])
@pytest.mark.parametrize("how", ["reset", "close", "end"])
def test_client_may_hang_up_at_any_moment(bench: Bench, how: str, sent: int) -> None:
    upstream = bench.before()
    client = bench.client()
    whole = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\n" + b"x" * 50
    client.send(whole[:sent])
    getattr(client, how)()
    until(lambda: connections(bench) == 0, "the connection is given up")
    until(lambda: in_use(bench) == 0, "the upstream's as well")
    assert not upstream.requests
    assert bench.client().ask("/").status == 200


def test_client_that_hangs_up_during_the_answer_frees_the_upstream(bench: Bench) -> None:
    freed: list[bool] = []

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                peer.send(b"x" * 65536)
        freed.append(True)

    bench.before(script)
    client = bench.client()
    client.get("/")
    client.head()
    client.reset()
    until(lambda: freed, "the upstream stops")
    until(lambda: in_use(bench) == 0, "its connection is free")


def test_half_closed_client_still_gets_all_its_answers(bench: Bench) -> None:
    bench.before()
    client = bench.client()
    for number in range(5):
        client.request("POST", f"/{number}", body=b"x" * number)
    client.end()
    for number in range(5):
        assert client.answer().json()["target"] == f"/{number}"
    assert client.ended()


def test_client_that_stops_reading_is_given_up(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(2000):
                peer.send(b"x" * 50_000)

    bench.before(script)
    client = bench.client(receive_buffer=32_768)
    client.get("/")
    client.head()

    def blocked() -> bool:
        return any(c.write_blocked for c in bench.proxy.plane.connections)  # type: ignore[attr-defined]

    until(lambda: bench.proxy.call(blocked), "the client is behind")
    bench.proxy.pass_time(31)
    with pytest.raises(Broken):
        client.stream.exactly(100_000_000)
    until(lambda: in_use(bench) == 0, "the upstream is free")


def test_slow_client_gets_the_end_of_its_last_answer(bench: Bench) -> None:
    size = 3_000_000
    bench.before(lambda peer: peer.request() and peer.answer(b"x" * size))  # type: ignore[arg-type,func-returns-value]
    client = bench.client(receive_buffer=16_384)
    client.get("/", "Connection: close")
    answer = client.head()

    def lingering() -> bool:
        return any(c._closing for c in bench.proxy.plane.connections)  # type: ignore[attr-defined]

    got = b""
    while not bench.proxy.call(lingering):
        got += client.stream.exactly(4096)
    for _ in range(20):
        bench.proxy.pass_time(3)
        got += client.stream.exactly(512)
    assert answer.header("Content-Length") == b"%d" % size
    got += client.stream.exactly(size - len(got))
    assert client.ended()


# --- draining


def test_drain_finishes_what_is_in_flight_and_closes_what_is_idle(bench: Bench) -> None:
    gate = threading.Event()
    upstream = bench.before(echo_when(gate))
    idle, busy, uploading = bench.client(), bench.client(), bench.client()
    busy.get("/busy")
    uploading.request("POST", "/uploading", "Content-Length: 6")
    uploading.send(b"abc")
    until(lambda: len(upstream.heads) == 2 and connections(bench) == 3, "both are in flight")
    bench.proxy.drain()
    assert idle.ended()
    with pytest.raises(ConnectionError):
        Client(bench.proxy.port).ask("/")
    uploading.send(b"def")
    gate.set()
    for client in (busy, uploading):
        answer = client.answer()
        assert (answer.status, answer.header("Connection")) == (200, b"close")
        assert client.ended()
    bench.proxy.close()


def test_drain_ends_after_its_time_with_cut_answers_broken(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        peer.gone()

    bench.before(script)
    client = bench.client()
    client.send(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n")
    client.head()
    bench.proxy.drain(0.2)
    with pytest.raises(Broken):
        client.stream.rest()


# --- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def test_clients_are_served_over_tls(bench: Bench, authority: Authority) -> None:
    upstream = bench.upstream()
    certificate, key = authority.certificate("localhost")
    bench.serve(
        upstreams={"monolith": upstream.url}, tls={"certificate": str(certificate), "key": str(key)}
    )
    client = bench.client(tls=authority.trusting())
    body = b"x" * 3_000_000
    client.request("POST", "/", body=body)
    assert len(client.answer().json()["body"]) == len(body)
    assert upstream.requests[0].header("X-Forwarded-Proto") == b"https"
    client.get("/", "Connection: close")
    assert client.answer().status == 200
    assert client.ended()
    plain = bench.client()
    plain.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert plain.ended()


def test_answer_cut_under_tls_is_broken(bench: Bench, authority: Authority) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        until(lambda: heard, "the client has heard the half")
        peer.reset()

    heard: list[bytes] = []
    upstream = bench.upstream(script)
    certificate, key = authority.certificate("localhost")
    bench.serve(
        upstreams={"monolith": upstream.url}, tls={"certificate": str(certificate), "key": str(key)}
    )
    client = bench.client(tls=authority.trusting())
    client.send(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n")
    client.head()
    heard.append(client.stream.exactly(4))
    with pytest.raises((Broken, ssl.SSLError)):
        client.stream.rest()


def secure_upstream(bench: Bench, authority: Authority, name: str) -> str:
    certificate, key = authority.certificate(name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return bench.upstream(tls=context).url


def test_upstreams_are_asked_over_tls_and_their_names_checked(
    bench: Bench, authority: Authority
) -> None:
    url = secure_upstream(bench, authority, "service.test")
    tls = {"ca": str(authority.path), "server_name": "service.test"}
    bench.serve(upstreams={"monolith": {"url": url, "tls": tls}})
    client = bench.client()
    for method in ("GET", "POST", "GET"):
        client.request(method, "/", body=b"x")
        assert client.answer().json()["body"] == "x"


@pytest.mark.parametrize("wrong", ["authority", "name", "no TLS at all"])
def test_upstream_that_is_not_who_it_should_be_is_a_502(
    bench: Bench, authority: Authority, tmp_path: Path, wrong: str
) -> None:
    url = secure_upstream(bench, authority, "service.test")
    tls = {"ca": str(authority.path), "server_name": "service.test"}
    if wrong == "authority":
        tls["ca"] = str(Authority(tmp_path).path)
    elif wrong == "name":
        tls["server_name"] = "other.test"
    else:
        url = bench.upstream(lambda peer: peer.send(b"HTTP/1.1 400 Bad\r\n\r\n")).url.replace(
            "http:", "https:"
        )
    bench.serve(upstreams={"monolith": {"url": url, "tls": tls}})
    client = bench.client()
    for _ in range(2):
        client.request("POST", "/", body=b"x")
        answer = client.answer()
        assert answer.status == 502
        assert "monolith" in answer.json()["detail"]


def test_unverified_upstream_is_asked_when_configured(bench: Bench, authority: Authority) -> None:
    url = secure_upstream(bench, authority, "other.test")
    bench.serve(upstreams={"monolith": {"url": url, "tls": {"verify": False}}})
    assert bench.client().ask("/").status == 200


# --- new configurations


def test_installing_a_configuration_touches_no_request_in_flight(bench: Bench) -> None:
    gate = threading.Event()
    old, new = bench.upstream(echo_when(gate)), bench.upstream()
    bench.serve(upstreams={"monolith": {"url": old.url, "max_connections": 1}})
    client, waiting = bench.client(), bench.client()
    client.get("/1")
    until(lambda: old.requests, "it is asked")
    waiting.get("/2")
    until(lambda: queued(bench) == 1, "another waits")
    bench.proxy.install(config(upstreams={"monolith": new.url}))
    assert bench.client().ask("/3").status == 200
    gate.set()
    assert client.answer().json()["target"] == "/1"
    assert waiting.answer().json()["target"] == "/2"
    assert client.ask("/4").status == 200
    assert (old.targets, new.targets) == (["/1", "/2"], ["/3", "/4"])


def test_unusable_authority_changes_nothing(bench: Bench, tmp_path: Path) -> None:
    upstream = bench.before()
    bad = config(
        upstreams={
            "monolith": {"url": "https://127.0.0.1:1", "tls": {"ca": str(tmp_path / "missing")}}
        }
    )
    with pytest.raises(OSError, match="No such file"):
        bench.proxy.install(bad)
    assert bench.client().ask("/").status == 200
    assert upstream.requests


def test_canary_is_sticky_by_header_cookie_and_client(bench: Bench) -> None:
    old, new = bench.upstream(), bench.upstream()
    routes = [
        {
            "name": kind,
            "match": f"/{kind}",
            "control": "old",
            "candidate": "new",
            "serve": {"candidate_percent": 50, "sticky": sticky},
        }
        for kind, sticky in {"h": "header:X-User", "c": "cookie:user", "a": "client"}.items()
    ]
    bench.serve(
        upstreams={"old": old.url, "new": new.url}, routes=routes, trusted_proxies=["127.0.0.1"]
    )
    client = bench.client()
    callers = {
        "/h": "X-User: {}",
        "/c": "Cookie: a=b; user={}; c=d",
        "/a": "X-Forwarded-For: 10.0.0.{}",
    }
    sides: dict[str, list[bool]] = {target: [] for target in callers}
    for target, line in callers.items():
        for number in range(60):
            seen = set()
            for _ in range(2):
                before = len(new.requests)
                client.ask(target, line.format(number))
                seen.add(len(new.requests) > before)
            assert len(seen) == 1
            sides[target].append(seen.pop())
    assert sides["/h"] == sides["/c"]
    assert all(10 < sum(served) < 50 for served in sides.values())
