"""Who is let in by a token, and that the upstream learns of it by the proxy alone."""

from __future__ import annotations

import pytest

from strangler_proxy.wire.plane import Lane
from tests.integration.wire.conftest import Bench
from tests.integration.wire.gate.kept_route import NOW, SECRET, bearer, before, got


def test_verified_subject_and_claims_are_told_to_the_upstream(bench: Bench) -> None:
    before(bench)
    answer = bench.client().ask("/kept", bearer())
    assert got(answer, "X-Verified-Subject") == ["ann"]
    assert got(answer, "X-Verified-Role") == ["editor"]
    assert len(got(answer, "Authorization")) == 1


REFUSED = {
    "none": [],
    "another secret": [bearer(secret=SECRET[::-1])],
    "expired": [bearer(exp=NOW - 1)],
    "not valid yet": [bearer(nbf=NOW + 10)],
    "nonsense": ["Authorization: Bearer nonsense"],
    "another scheme": ["Authorization: Basic YTpi"],
    "two tokens": [bearer("ann"), bearer("bob")],
    "the same twice": [bearer("ann"), bearer("ann")],
    "two schemes": ["Authorization: Basic YTpi", bearer()],
    "confined to this hop": [bearer(), "Connection: authorization"],
}


@pytest.mark.parametrize("lines", REFUSED.values(), ids=REFUSED.keys())
def test_without_one_good_token_the_answer_is_401_and_the_client_may_go_on(
    bench: Bench, lines: list[str]
) -> None:
    upstream = before(bench)
    client = bench.client()
    for method, body in (("GET", None), ("POST", b"x" * 5000), ("HEAD", None)):
        client.request(method, "/kept", *lines, "X-Request-ID: mine", body=body)
        answer = client.answer(method)
        assert answer.status == 401
        assert (answer.header("WWW-Authenticate") or b"").startswith(b"Bearer realm=")
        assert answer.header("X-Request-ID") == b"mine"
        assert answer.header("Connection") is None
        if method != "HEAD":
            assert answer.json()["status"] == 401
    assert client.ask("/kept", bearer()).status == 200
    assert len(upstream.requests) == 1
    assert bench.proxy.plane.events["refused", "kept", "token"] == 3
    tally = bench.proxy.plane.tallies["kept", "monolith"]
    assert (tally.requests, tally.failures) == (1, 0)


@pytest.mark.parametrize("name", ["two schemes", "two tokens", "nonsense", "expired"])
def test_optional_token_that_is_there_must_be_good(bench: Bench, name: str) -> None:
    before(bench, token={"check": "users", "optional": True})
    client = bench.client()
    assert client.ask("/kept", *REFUSED[name]).status == 401
    for lines in ([], ["Authorization: Basic YTpi"]):
        assert got(client.ask("/kept", *lines), "X-Verified-Subject") == []
    assert got(client.ask("/kept", bearer()), "X-Verified-Subject") == ["ann"]


FORGED = [
    "X-Verified-Subject: root",
    "x-verified-subject: root",
    "X_Verified_Subject: root",
    "X-Verified_Subject: root",
    "X-VERIFIED-Role: admin",
    "X_Verified-Anything: root",
]


@pytest.mark.parametrize("target", ["/kept", "/open", "/by-default"])
def test_what_clients_say_is_verified_reaches_no_upstream(bench: Bench, target: str) -> None:
    before(bench)
    client = bench.client()
    for connection in ([], ["Connection: X-Verified-Subject, X-Verified-Role"]):
        client.request("POST", target, bearer(), *FORGED, *connection, body=b"x")
        answer = client.answer()
        expected = ["ann"] if target == "/kept" else []
        assert got(answer, "X-Verified-Subject") == expected
        assert got(answer, "X-Verified-Role") == (["editor"] if expected else [])
        assert got(answer, "X-Verified-Anything") == []


@pytest.mark.parametrize("target", ["/kept", "/open"])
def test_nor_do_they_come_as_trailers(bench: Bench, target: str) -> None:
    upstream = before(bench)
    client = bench.client()
    client.request("POST", target, bearer(), "Transfer-Encoding: chunked")
    trailers = "".join(f"{line}\r\n" for line in (*FORGED, "X-Strangler-Side: x", "X-Sum: 1"))
    client.send(f"1\r\nx\r\n0\r\n{trailers}\r\n".encode())
    assert client.answer().status == 200
    assert upstream.requests[-1].trailers == [(b"X-Sum", b"1")]


def test_pipelined_requests_are_judged_one_by_one_and_answered_in_order(bench: Bench) -> None:
    before(bench)
    client = bench.client()
    lines = [bearer("ann"), "X: y", bearer("bob"), bearer(secret=SECRET[::-1]), bearer("cid")] * 20
    client.send(
        "".join(f"GET /kept HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n" for line in lines).encode()
    )
    answers = [client.answer() for _ in lines]
    assert [answer.status for answer in answers] == [200, 401, 200, 401, 200] * 20
    subjects = [got(a, "X-Verified-Subject") for a in answers if a.status == 200]
    assert subjects == [["ann"], ["bob"], ["cid"]] * 20


def test_routes_that_use_nothing_stay_plain(bench: Bench) -> None:
    before(bench)
    plane = bench.proxy.plane
    assert type(bench.proxy.call(lambda: plane._find(b"GET", b"/open"))) is Lane
    assert type(bench.proxy.call(lambda: plane._find(b"GET", b"/anything"))) is Lane
    assert type(bench.proxy.call(lambda: plane._find(b"GET", b"/kept"))) is not Lane
