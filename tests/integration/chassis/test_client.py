"""The client between services against real servers that refuse, reset, stall, drip and recover."""

from __future__ import annotations

import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from extracted.chassis import logs
from extracted.chassis.breaker import Breaker
from extracted.chassis.client import BreakerOpenError, ServiceClient, ServiceUnavailableError
from scripts.processes import free_ports
from tests.integration.chassis.misbehaving import (
    Deed,
    Misbehaving,
    answer,
    hang_up,
    reset,
    send,
)
from tests.wire_tools.certificates import Authority
from tests.wire_tools.proxy import until

BREAKS = {
    "an orderly end": hang_up,
    "a reset": reset,
    "half an answer": send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
    "garbage": send(b"\x16\x03\x01 what?\r\n\r\n"),
}


@contextmanager
def client(url: str, **more: Any) -> Iterator[ServiceClient]:
    values = {"timeout_s": 5.0, "rng": random.Random(7), **more}
    with closing(ServiceClient(url, **values)) as made:
        yield made


def serving(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.certificate("localhost"))
    return context


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("deed", BREAKS.values(), ids=BREAKS.keys())
def test_a_read_that_broke_is_repeated(deed: Deed) -> None:
    with Misbehaving(deed, deed, answer(200, b'{"a": 1}')) as server, client(server.url) as calls:
        assert calls.request("GET", "/").json == {"a": 1}
        assert len(server.requests) == 3


@pytest.mark.parametrize("deed", BREAKS.values(), ids=BREAKS.keys())
def test_a_write_that_broke_is_never_repeated(deed: Deed) -> None:
    with Misbehaving(deed) as server, client(server.url) as calls:
        with pytest.raises(ServiceUnavailableError, match="POST http"):
            calls.request("POST", "/", files={"image": ("image", b"x")})
        assert len(server.requests) == 1


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_a_write_with_an_idempotency_key_is_repeated_under_that_key(method: str) -> None:
    deeds = (reset, answer(503), answer(201, b'{"id": 7}'))
    with Misbehaving(*deeds) as server, client(server.url) as calls:
        done = calls.request(method, "/payment", json={"amount": 5}, idempotency_key="k-1")
        assert (done.status, done.json) == (201, {"id": 7})
        assert len(server.requests) == 3
        assert all(b"Idempotency-Key: k-1\r\n" in request for request in server.requests)


def test_an_empty_idempotency_key_is_refused_before_anything_is_sent() -> None:
    with (
        Misbehaving(answer(200)) as server,
        client(server.url) as calls,
        pytest.raises(ValueError, match="idempotency key"),
    ):
        calls.request("POST", "/", idempotency_key="")
    assert server.requests == []


@pytest.mark.parametrize(("method", "tries"), [("GET", 3), ("POST", 1)])
def test_the_last_of_several_failing_answers_is_the_answer(method: str, tries: int) -> None:
    with Misbehaving(answer(502), answer(504), answer(503, b'{"a": 1}')) as server:
        server.deeds = server.deeds if tries == 3 else server.deeds[2:]
        with client(server.url) as calls:
            done = calls.request(method, "/")
        assert (done.status, done.json) == (503, {"a": 1})
        assert len(server.requests) == tries


@pytest.mark.parametrize("status", [400, 404, 409, 429, 500, 501])
def test_other_refusals_and_failures_are_not_asked_for_again(status: int) -> None:
    with Misbehaving(answer(status)) as server, client(server.url) as calls:
        assert calls.request("GET", "/").status == status
        assert len(server.requests) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_was_refused_is_tried_again_for_writes_too(method: str) -> None:
    (port,) = free_ports(1)
    with ExitStack() as stack:

        class ServerAppears(random.Random):
            """Asked for the length of the wait, after the first try has found nobody."""

            def uniform(self, a: float, b: float) -> float:
                stack.enter_context(Misbehaving(answer(200), port=port))
                return b

        with client(f"http://127.0.0.1:{port}", rng=ServerAppears()) as calls:
            assert calls.request(method, "/").status == 200


def test_retry_after_is_waited_for() -> None:
    with Misbehaving(answer(503, b"", "Retry-After: 1\r\n"), answer(200)) as server:
        began = time.monotonic()
        with client(server.url) as calls:
            assert calls.request("GET", "/").status == 200
        assert time.monotonic() - began >= 1.0


def test_a_retry_after_past_the_total_bound_ends_the_tries_at_once() -> None:
    with Misbehaving(answer(503, b"", "Retry-After: 9\r\n")) as server:
        began = time.monotonic()
        with client(server.url, total_s=8.0) as calls:
            assert calls.request("GET", "/").status == 503
        assert time.monotonic() - began < 4
        assert len(server.requests) == 1


Stall = Callable[[Misbehaving], Deed]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n"
STALLS: dict[str, Stall] = {
    "silence": lambda server: server.silence,
    "a dripping head": lambda server: server.drip(HEAD + b"X: " + b"y" * 9000),
    "a dripping body": lambda server: server.drip(HEAD + b"\r\n" + b"y" * 9000, 0.005),
    "endless 100s": lambda server: server.drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 900, 0.001),
}


@pytest.mark.parametrize("stall", STALLS.values(), ids=STALLS.keys())
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_call_ends_in_its_total_time_however_the_service_stalls(
    tmp_path: Path, scheme: str, stall: Stall
) -> None:
    authority = Authority(tmp_path)
    tls = serving(authority) if scheme == "https" else None
    with Misbehaving(answer(200), tls=tls) as server:
        bounds = {"timeout_s": 0.3, "total_s": 0.6, "ca_file": str(authority.path)}
        with client(server.url, **bounds) as calls:
            assert calls.request("POST", "/").status == 200  # it is the stalling that ends it
            server.deeds = [stall(server)]
            began = time.monotonic()
            with pytest.raises(ServiceUnavailableError):
                calls.request("GET", "/")
        assert 0.25 < time.monotonic() - began < 4


def test_a_service_that_reads_too_slowly_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with client(url, timeout_s=0.3, total_s=0.5) as calls:
            began = time.monotonic()
            with pytest.raises(ServiceUnavailableError):
                calls.request("POST", "/", files={"image": ("image", bytes(32 * 1024 * 1024))})
            assert time.monotonic() - began < 2


def test_an_answer_without_end_is_not_read_without_end() -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(bytes(1024 * 1024))

    with (
        Misbehaving(endless) as server,
        client(server.url, timeout_s=20) as calls,
        pytest.raises(ServiceUnavailableError, match="larger than"),
    ):
        calls.request("POST", "/")


def test_each_write_has_a_connection_of_its_own_and_reads_share_one() -> None:
    with Misbehaving(answer(200)) as server, client(server.url) as calls:
        for _ in range(3):
            calls.request("POST", "/")  # the server would keep the connection
        assert server.connections == 3
        assert all(b"Connection: close\r\n" in request for request in server.requests)
        for _ in range(3):
            calls.request("GET", "/")
        assert server.connections == 4


def test_no_redirect_is_followed_and_no_cookie_kept_for_another_caller() -> None:
    moved = answer(302, b"", "Location: /elsewhere\r\nSet-Cookie: session=1\r\n")
    with Misbehaving(moved, answer(200)) as server, client(server.url) as calls:
        assert calls.request("GET", "/").status == 302
        assert calls.request("GET", "/").status == 200
        assert not any(b"Cookie" in request for request in server.requests)


def test_the_id_and_the_trace_of_the_request_being_served_go_along() -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    app = Flask("sample")
    logs.init_app(app)
    with Misbehaving(answer(200)) as server, client(server.url) as calls:
        app.add_url_rule("/", view_func=lambda: calls.request("GET", "/x").json)
        headers = {"X-Request-ID": "r-1", "traceparent": parent, "tracestate": "a=1"}
        app.test_client().get("/", headers=headers)
        app.test_client().get("/", headers={"X-Request-ID": "r-2"})
        calls.request("GET", "/outside-of-any-request")
        traced, untraced, outside = server.requests
    assert b"X-Request-ID: r-1\r\n" in traced
    assert f"traceparent: {parent}\r\n".encode() in traced
    assert b"tracestate: a=1\r\n" in traced
    assert b"X-Request-ID: r-2\r\n" in untraced
    assert b"trace" not in untraced
    assert b"X-Request-ID" not in outside


@pytest.mark.parametrize(
    "deed", [answer(500), answer(503), hang_up, reset], ids=["500", "503", "end", "reset"]
)
def test_five_failing_tries_open_the_breaker_and_then_nothing_is_sent(deed: Deed) -> None:
    with Misbehaving(deed) as server, client(server.url) as calls:
        for _ in range(5):
            try:
                calls.request("POST", "/")
            except BreakerOpenError:
                pytest.fail("the breaker opened too early")
            except ServiceUnavailableError:
                pass
        with pytest.raises(BreakerOpenError) as refused:
            calls.request("POST", "/")
        assert 58 < refused.value.retry_after_s <= 60
        assert len(server.requests) == 5


def test_each_try_of_a_call_counts_and_what_the_last_one_met_is_told() -> None:
    breaker = Breaker("it", failures=2)
    deed = answer(503, b'{"a": 1}')
    with Misbehaving(deed) as server, client(server.url, breaker=breaker) as calls:
        assert calls.request("GET", "/").json == {"a": 1}
        assert len(server.requests) == 2
        with pytest.raises(BreakerOpenError):
            calls.request("GET", "/")


@pytest.mark.parametrize("status", [200, 404, 429, 501])
def test_refusals_of_a_well_service_never_open_the_breaker(status: int) -> None:
    with Misbehaving(answer(status)) as server, client(server.url) as calls:
        for _ in range(8):
            assert calls.request("POST", "/").status == status


def test_a_request_that_cannot_be_made_is_no_failure_of_the_service() -> None:
    breaker = Breaker("it", failures=1)
    with Misbehaving(answer(200)) as server, client(server.url, breaker=breaker) as calls:
        with pytest.raises(ValueError, match="header"):
            calls.request("GET", "/", token="two\nlines")
        assert calls.request("GET", "/").status == 200


def test_a_dead_service_that_came_back_is_found_by_one_probe_of_many_threads() -> None:
    clock = Clock()
    (port,) = free_ports(1)
    breaker = Breaker("it", failures=3, clock=clock)
    released = threading.Event()
    with client(f"http://localhost:{port}", breaker=breaker) as calls:
        with pytest.raises(ServiceUnavailableError):
            calls.request("GET", "/")
        assert breaker.state == "open"
        with Misbehaving(port=port) as server, ThreadPoolExecutor(8) as pool:
            server.deeds = [server.hold(released, answer(200)), answer(200)]
            clock.now += 60
            pending = [pool.submit(calls.request, "GET", "/") for _ in range(8)]
            until(lambda: sum(each.done() for each in pending) == 7, "seven are refused at once")
            assert len(server.requests) == 1
            released.set()
            met = [each.exception(10) for each in pending]
            assert sum(isinstance(each, BreakerOpenError) for each in met) == 7
            assert met.count(None) == 1
            assert calls.request("GET", "/").status == 200


def test_calls_of_many_threads_are_under_way_at_the_same_time() -> None:
    everyone = threading.Barrier(8)

    def together(connection: socket.socket) -> None:
        everyone.wait(10)  # broken, if calls came one after the other
        answer(200)(connection)

    with (
        Misbehaving(together) as server,
        client(server.url) as calls,
        ThreadPoolExecutor(8) as pool,
    ):
        done = [pool.submit(calls.request, "POST", "/") for _ in range(8)]
        assert [each.result(20).status for each in done] == [200] * 8
