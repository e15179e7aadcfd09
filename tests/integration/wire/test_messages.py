"""What passes through the proxy, and what does not: messages as both ends see them."""

from __future__ import annotations

import pytest

from tests.integration.wire.conftest import Bench
from tests.wire_tools.proxy import config
from tests.wire_tools.upstream import Peer


def test_target_bytes_pass_untouched(bench: Bench) -> None:
    upstream = bench.before()
    client = bench.client()
    targets = [
        "/a%2Fb/%e4%C3%A4//x/./../y;p=1?q=%20+&&=&q=2?&",
        "/?",
        "//double//slash/",
        "/a|b{}^`\"'<>[]\\",
        "/" + "x" * 8000,
    ]
    for target in targets:
        assert client.ask(target).json()["target"] == target
    assert upstream.targets == targets


def test_absolute_target_is_sent_as_path_to_the_host_it_names(bench: Bench) -> None:
    bench.before()
    client = bench.client()
    client.send(b"GET http://other.test:81/a;b?c? HTTP/1.1\r\nHost: blog.test\r\n\r\n")
    said = client.answer().json()
    assert said["target"] == "/a;b?c?"
    assert [v for n, v in said["headers"] if n.lower() == "host"] == ["other.test:81"]
    for given, sent in (("http://h", "/"), ("http://h?x", "/?x"), ("http://h/a?", "/a?")):
        assert client.ask(given).json()["target"] == sent


@pytest.mark.parametrize("start", [b"HTTP/1.1 200", b"HTTP/1.1 200 "])
def test_answer_without_a_reason_keeps_the_space_after_its_status(
    bench: Bench, start: bytes
) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(start + b"\r\nContent-Length: 2\r\n\r\nok")

    bench.before(script)
    client = bench.client()
    client.get("/")
    assert client.stream.until(b"\r\n") == b"HTTP/1.1 200 "


def test_repeated_headers_keep_their_order_case_and_bytes(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        while True:
            peer.request()
            peer.answer(b"ok", "Set-Cookie: a=1", "x-B: \xff\t ,,", "Set-Cookie: b=2", "X-Empty:")

    upstream = bench.before(script)
    client = bench.client()
    client.get("/", "aCCept: b", "X-One: 1", "Accept: a;q=\xe9", "X-One:", "x-one: \t3")
    answer = client.answer()
    sent = [(n, v) for n, v in upstream.requests[0].headers if n.lower() in (b"accept", b"x-one")]
    assert sent == [
        (b"aCCept", b"b"),
        (b"X-One", b"1"),
        (b"Accept", b"a;q=\xe9"),
        (b"X-One", b""),
        (b"x-one", b"3"),
    ]
    assert answer.headers == [
        (b"Content-Length", b"2"),
        (b"Set-Cookie", b"a=1"),
        (b"x-B", b"\xff\t ,,"),
        (b"Set-Cookie", b"b=2"),
        (b"X-Empty", b""),
    ]


def test_hop_by_hop_headers_stop_here_those_named_by_connection_too(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(b"", "Connection: x-secret, keep-alive", "X-Secret: 1", "Keep-Alive: timeout=5")

    upstream = bench.before(script)
    answer = bench.client().ask(
        "/",
        "Connection: X-Hop, keep-alive",
        "Connection: x-other",
        "X-Hop: 1",
        "x-Other: 2",
        "Keep-Alive: 300",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic eA==",
        "Proxy: http://evil.test",
        "TE: trailers",
        "Upgrade: h2c",
        "X-Stays: 1",
    )
    names = {name.lower() for name, _ in upstream.requests[0].headers}
    assert names == {
        *(b"host", b"x-stays", b"x-request-id", b"via", b"forwarded"),
        *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"),
    }
    assert {name.lower() for name, _ in answer.headers} == {b"content-length"}


def test_connection_cannot_take_away_what_the_message_stands_on(bench: Bench) -> None:
    upstream = bench.before()
    client = bench.client()
    for name in ("content-length", "host", "x-forwarded-for", "transfer-encoding", "x-request-id"):
        client.request("POST", "/", f"Connection: {name}", "X-Request-ID: mine", body=b"abc")
        assert client.answer().json()["body"] == "abc"
        request = upstream.requests[-1]
        assert request.header("Host") == b"blog.test"
        assert request.header("X-Forwarded-For") == b"127.0.0.1"
        assert request.header("X-Request-ID") == b"mine"


SPOOFED = (
    "X-Forwarded-For: 6.6.6.6",
    "X_Forwarded_For: 6.6.6.6",
    "X-Forwarded_For: 6.6.6.6",
    "x-forwarded-proto: https",
    "X-Forwarded-Host: evil.test",
    "X-Forwarded-Prefix: /evil",
    "X-Forwarded-Port: 1",
    "Forwarded: for=6.6.6.6",
    "X-Real-IP: 6.6.6.6",
)


def test_what_an_unknown_client_says_of_itself_is_not_believed(bench: Bench) -> None:
    upstream = bench.before(trusted_proxies=["10.0.0.0/8"])
    bench.client().ask("/", *SPOOFED)
    request = upstream.requests[0]
    assert request.header("X-Forwarded-For") == b"127.0.0.1"
    assert request.header("X-Forwarded-Proto") == b"http"
    assert request.header("X-Forwarded-Host") == b"blog.test"
    assert request.header("Forwarded") == b'for=127.0.0.1;proto=http;host="blog.test"'
    assert not any(b"6.6.6.6" in value or b"evil" in value for _, value in request.headers)


def test_what_a_configured_proxy_says_is_kept_and_the_proxy_is_added(bench: Bench) -> None:
    upstream = bench.before(trusted_proxies=["127.0.0.1"])
    bench.client().ask("/", *SPOOFED, "X-Forwarded-For: 7.7.7.7")
    request = upstream.requests[0]
    assert request.header("X-Forwarded-For") == b"6.6.6.6, 7.7.7.7, 127.0.0.1"
    assert request.header("X-Forwarded-Proto") == b"https"
    assert request.header("X-Forwarded-Host") == b"evil.test"
    assert request.header("Forwarded") == b"for=6.6.6.6, for=127.0.0.1"
    assert not [name for name, _ in request.headers if b"_" in name]


def test_disguised_framing_and_host_do_not_pass(bench: Bench) -> None:
    upstream = bench.before()
    bench.client().ask("/", "Content_Length: 9", "Transfer_Encoding: chunked", "X_Plain: 1")
    names = [name for name, _ in upstream.requests[0].headers if b"_" in name]
    assert names == [b"X_Plain"]


def test_identity_follows_the_host_of_each_request_on_one_connection(bench: Bench) -> None:
    upstream = bench.before()
    client = bench.client()
    for host in (b"one.test", b"two.test:8080", b"[::1]:80"):
        client.send(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
        client.answer()
        assert upstream.requests[-1].header("X-Forwarded-Host") == host
        assert upstream.requests[-1].header("Host") == host


def test_spaces_around_values_do_not_matter(bench: Bench) -> None:
    upstream = bench.before()
    client = bench.client()
    client.send(b"GET / HTTP/1.1\r\nHost: \tblog.test \t\r\nX-Request-ID:  mine \r\n\r\n")
    assert client.answer().status == 200
    assert upstream.requests[0].header("X-Request-ID") == b"mine"
    assert upstream.requests[0].header("X-Forwarded-Host") == b"blog.test"


def test_request_id_is_kept_when_usable_and_made_when_not(bench: Bench) -> None:
    upstream = bench.before()
    client = bench.client()
    client.ask("/", "X-Request-ID: abc-1")
    client.ask("/")
    client.ask("/", "X-Request-ID: has space")
    client.ask("/", "X-Request-ID: " + "x" * 129)
    ids = [request.header("X-Request-ID") for request in upstream.requests]
    assert ids[0] == b"abc-1"
    assert len(set(ids)) == 4
    assert all(made and b" " not in made and len(made) < 64 for made in ids[1:])


def test_old_client_without_host_gets_one_and_the_upstream_an_http_1_1_request(
    bench: Bench,
) -> None:
    upstream = bench.before()
    client = bench.client()
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert client.answer().status == 200
    assert upstream.requests[0].header("Host") is not None
    assert client.ended()


def test_old_client_may_keep_the_connection(bench: Bench) -> None:
    bench.before()
    client = bench.client()
    for _ in range(2):
        client.send(b"GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n")
        assert client.answer().header("Connection") == b"keep-alive"
    client.send(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n")
    assert client.answer().status == 200
    assert client.ended()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
def test_bodies_of_any_method_pass_counted_and_chunked(bench: Bench, method: str) -> None:
    upstream = bench.before()
    client = bench.client()
    client.request(method, "/counted", body=b"12345")
    assert client.answer().json()["body"] == "12345"
    client.request(method, "/empty", body=b"")
    assert client.answer().json()["body"] == ""
    client.request(method, "/chunked", "Transfer-Encoding: chunked")
    client.send(b"3;ext=1\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-Sum: 7\r\nHost: evil\r\n\r\n")
    assert client.answer().json()["body"] == "abc0123456789"
    assert upstream.requests[0].header("Content-Length") == b"5"
    assert upstream.requests[2].header("Transfer-Encoding") == b"chunked"
    assert upstream.requests[2].trailers == [(b"X-Sum", b"7")]
    assert client.ask("/after").status == 200


def test_options_star_passes(bench: Bench) -> None:
    bench.before()
    client = bench.client()
    client.request("OPTIONS", "*")
    assert client.answer().json()["target"] == "*"


def test_requests_that_only_another_kind_of_proxy_answers_are_refused(bench: Bench) -> None:
    upstream = bench.before()
    for line in (b"CONNECT other.test:443", b"TRACE /", b"BREW /"):
        client = bench.client()
        client.send(line + b" HTTP/1.1\r\nHost: other.test\r\n\r\n")
        assert client.answer().status == 501
        assert client.ended()
    assert not upstream.heads


def test_a_loop_through_this_proxy_ends(bench: Bench) -> None:
    upstream = bench.upstream()
    proxy = bench.serve(upstreams={"monolith": upstream.url})
    proxy.install(config(upstreams={"monolith": f"http://127.0.0.1:{proxy.port}"}))
    assert bench.client().ask("/").status == 508


def test_segment_that_no_converter_can_read_goes_to_the_default(bench: Bench) -> None:
    old, new = bench.upstream(), bench.upstream()
    bench.serve(
        upstreams={"old": old.url, "new": new.url},
        routes=[{"name": "user", "match": "GET /users/<int:id>", "control": "new"}],
    )
    client = bench.client()
    client.ask("/users/7")
    client.ask("/users/" + "7" * 5000)
    assert (len(new.requests), len(old.requests)) == (1, 1)
