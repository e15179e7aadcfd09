"""Tokens and limits at the door: who is let in, what the upstream learns of it, and that a refusal
leaves the connection in order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from strangler_proxy.wire.outside import Outside
from strangler_proxy.wire.plane import Lane
from tests.integration.wire.conftest import Bench
from tests.wire_tools.client import Answer, Client
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Peer, Upstream, echo

NOW = 1_700_000_000.0
SECRET = "a secret of more than thirty-two bytes"
JWKS_URL = "http://issuer.test/keys"
KEY = ed25519.Ed25519PrivateKey.generate()
JWKS = {
    "keys": [
        {
            **jwt.get_algorithm_by_name("EdDSA").to_jwk(KEY.public_key(), as_dict=True),
            "kid": "new", "use": "sig", "alg": "EdDSA",
        }
    ]
}  # fmt: skip


def token(subject: str = "ann", secret: Any = SECRET, algorithm: str = "HS256", **more: Any) -> str:
    claims = {"sub": subject, "exp": NOW + 60, "role": "editor", **more}
    headers = {"kid": "new"} if algorithm == "EdDSA" else None
    return jwt.encode(claims, secret, algorithm, headers=headers)


def bearer(*given: Any, **more: Any) -> str:
    return f"Authorization: Bearer {token(*given, **more)}"


def issued(subject: str = "ann") -> str:
    return bearer(subject, KEY, "EdDSA")


def before(
    bench: Bench,
    script: Callable[[Peer], None] = echo,
    outside: Outside | None = None,
    check: Any = None,
    more: Any = None,
    **route: Any,
) -> Upstream:
    upstream = bench.upstream(script)
    outside = outside or Outside()
    outside.environ, outside.wall = {"SECRET": SECRET}, lambda: NOW
    check = check or {"secret_env": "SECRET", "claims": {"role": "X-Verified-Role"}}
    bench.serve(
        outside,
        upstreams={"monolith": upstream.url},
        tokens={"users": check},
        routes=[
            {"name": "kept", "match": "/kept", "control": "monolith", "token": "users", **route},
            {"name": "open", "match": "/open", "control": "monolith"},
        ],
        **(more or {}),
    )
    return upstream


def got(answer: Answer, name: str) -> list[str]:
    """What the upstream got in fields of this name, as WSGI would see it."""
    assert answer.status == 200, answer.body
    wanted = name.lower().replace("_", "-")
    return [v for n, v in answer.json()["headers"] if n.lower().replace("_", "-") == wanted]


# --- tokens


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


# --- refusals and bodies


@pytest.mark.parametrize("size", [1_000, 100_000, 5_000_000])
def test_refusal_while_the_body_still_comes_is_heard_and_the_body_is_no_request(
    bench: Bench, size: int
) -> None:
    """What follows the head might read as requests; it is a body, whoever refuses it."""
    upstream = before(bench)
    smuggled = b"GET /open HTTP/1.1\r\nHost: h\r\n\r\n"
    body = (smuggled * (size // len(smuggled) + 1))[:size]
    client = bench.client()
    client.request("POST", "/kept", f"Content-Length: {size}")
    sender = threading.Thread(target=send_quietly, args=(client, body))
    sender.start()
    answer = client.answer()
    assert answer.status == 401
    sender.join()
    if answer.header("Connection") == b"close":
        assert client.ended()
    else:  # it had come whole
        assert client.ask("/next").json()["target"] == "/next"
    assert upstream.targets in ([], ["/next"])


def send_quietly(client: Client, body: bytes) -> None:
    try:
        client.send(body)
    except OSError:
        return  # refused, and closed


def test_client_that_asks_first_is_told_401_and_sends_nothing(bench: Bench) -> None:
    upstream = before(bench)
    client = bench.client()
    client.request("POST", "/kept", "Content-Length: 1000000", "Expect: 100-continue")
    answer = client.answer()
    assert (answer.status, answer.interim) == (401, [])
    assert answer.header("Connection") == b"close"
    assert client.ended()
    assert upstream.connections == 0


def test_chunked_body_that_is_here_whole_leaves_the_connection_open(bench: Bench) -> None:
    before(bench)
    client = bench.client()
    client.send(
        b"POST /kept HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n0\r\n\r\nGET /open HTTP/1.1\r\nHost: h\r\n\r\n"
    )
    assert client.answer().status == 401
    assert client.answer().json()["target"] == "/open"


def test_http_1_0_gets_its_refusal_too(bench: Bench) -> None:
    before(bench)
    client = bench.client()
    client.send(b"GET /kept HTTP/1.0\r\n\r\n")
    assert client.answer().status == 401
    assert client.ended()


def test_upgrade_is_refused_without_a_token(bench: Bench) -> None:
    upstream = before(bench)
    client = bench.client()
    client.get("/kept", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")
    assert client.answer().status == 401
    assert client.ask("/open").status == 200
    assert len(upstream.requests) == 1


# --- keys that have to be fetched


class Issuer:
    """Stands in for the supervisor: fetches keys when told to."""

    def __init__(self, bench: Bench, jwks: Any) -> None:
        self.bench = bench
        self.jwks = jwks
        self.asked: list[str] = []
        self.answer = threading.Event()

    async def refresh(self, url: str) -> None:
        self.asked.append(url)
        while not self.answer.is_set():  # noqa: ASYNC110 - it is set in another thread
            await asyncio.sleep(0.005)
        if self.jwks is not None:
            self.bench.proxy.plane.set_keys(url, self.jwks)


def with_issuer(bench: Bench, jwks: Any = JWKS, **more: Any) -> tuple[Issuer, Upstream]:
    issuer = Issuer(bench, jwks)
    outside = Outside(refresh_keys=issuer.refresh)
    return issuer, before(bench, outside=outside, check={"jwks": JWKS_URL}, **more)


def test_token_with_an_unknown_key_waits_until_the_keys_have_come(bench: Bench) -> None:
    issuer, upstream = with_issuer(bench)
    client = bench.client()
    client.get("/kept", issued())
    until(lambda: issuer.asked, "the keys are asked for")
    assert issuer.asked == [JWKS_URL]
    bench.proxy.pass_time(1000)
    assert not upstream.requests
    assert bench.client().ask("/open").status == 200  # nobody else waits
    issuer.answer.set()
    assert got(client.answer(), "X-Verified-Subject") == ["ann"]
    assert got(client.ask("/kept", issued("bob")), "X-Verified-Subject") == ["bob"]
    assert len(issuer.asked) == 1


def test_key_that_the_issuer_does_not_know_either_is_401(bench: Bench) -> None:
    issuer, upstream = with_issuer(bench, {"keys": []})
    issuer.answer.set()
    client = bench.client()
    for _ in range(2):
        answer = client.ask("/kept", issued())
        assert (answer.status, b"not known" in (answer.header("WWW-Authenticate") or b"")) == (
            401,
            True,
        )
    assert not upstream.requests


@pytest.mark.parametrize("refresh", ["finds nothing", "is not there", "breaks"])
def test_without_any_keys_and_an_issuer_the_answer_is_503(bench: Bench, refresh: str) -> None:
    async def breaks(url: str) -> None:
        raise RuntimeError(url)

    async def finds_nothing(url: str) -> None:
        pass

    ways: dict[str, Callable[[str], Awaitable[None]] | None] = {
        "finds nothing": finds_nothing, "breaks": breaks, "is not there": None
    }  # fmt: skip
    upstream = before(bench, outside=Outside(refresh_keys=ways[refresh]), check={"jwks": JWKS_URL})
    client = bench.client()
    for _ in range(2):
        answer = client.ask("/kept", issued())
        assert (answer.status, answer.header("Retry-After")) == (503, b"1")
    assert client.ask("/kept").status == 401
    assert client.ask("/open").status == 200
    assert len(upstream.requests) == 1


def test_body_that_comes_while_the_keys_are_fetched_is_held_back_and_then_whole(
    bench: Bench,
) -> None:
    issuer, upstream = with_issuer(bench)
    body = bytes(range(256)) * 80_000
    client = bench.client(timeout_s=10)
    client.request("POST", "/kept", issued(), f"Content-Length: {len(body)}")
    sent = threading.Event()

    def send() -> None:
        client.send(body)
        sent.set()

    sender = threading.Thread(target=send)
    sender.start()
    until(lambda: issuer.asked, "the keys are asked for")
    assert not sent.wait(0.3), "20 MB were taken in while nobody was there to take them"
    issuer.answer.set()
    assert client.answer().status == 200
    sender.join()
    assert upstream.requests[-1].body == body


def test_client_that_leaves_while_the_keys_are_fetched_is_not_sent_on(bench: Bench) -> None:
    issuer, upstream = with_issuer(bench)
    other, client = bench.client(), bench.client()
    assert other.ask("/open").status == 200  # its connection is kept, and could be taken
    client.get("/kept?left", issued())
    until(lambda: issuer.asked, "the keys are asked for")
    client.reset()
    until(lambda: bench.proxy.call(lambda: len(bench.proxy.plane.connections)) == 1, "it is gone")
    issuer.answer.set()
    assert other.ask("/kept", issued()).status == 200
    assert upstream.targets == ["/open", "/kept"]


def test_requests_behind_one_that_waits_for_keys_keep_their_order(bench: Bench) -> None:
    issuer, _ = with_issuer(bench)
    client = bench.client()
    client.get("/kept?1", issued())
    client.get("/open?2")
    client.get("/kept?3")
    until(lambda: issuer.asked, "the keys are asked for")
    issuer.answer.set()
    answers = [client.answer() for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 401]
    assert [answer.json()["target"] for answer in answers[:2]] == ["/kept?1", "/open?2"]


# --- limits


def limited(bench: Bench, limit: Any, script: Callable[[Peer], None] = echo, **more: Any) -> Any:
    return before(bench, script, rate_limit=limit, token=None, more=more)


def left(answer: Answer) -> int:
    assert answer.header("RateLimit-Limit") == b"3"
    assert answer.header("RateLimit-Reset")
    return int(answer.header("RateLimit-Remaining") or -1)


def test_answers_tell_the_limit_and_beyond_it_they_are_429(bench: Bench) -> None:
    upstream = limited(bench, "3/hour")
    client = bench.client()
    assert [left(client.ask("/kept")) for _ in range(3)] == [2, 1, 0]
    for method in ("GET", "POST", "HEAD"):
        client.request(method, "/kept", body=b"x")
        answer = client.answer(method)
        assert (answer.status, left(answer)) == (429, 0)
        assert 1 <= int(answer.header("Retry-After") or 0) <= 3601
    assert client.ask("/open").header("RateLimit-Limit") is None
    assert len(upstream.requests) == 4
    assert bench.proxy.plane.events["refused", "kept", "rate-limit"] == 3


def test_upstreams_own_refusals_tell_the_limit_too(bench: Bench) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(status="404 No")

    limited(bench, "3/hour", script)
    answer = bench.client().ask("/kept")
    assert (answer.status, left(answer)) == (404, 2)


def test_pipelined_requests_over_the_limit_are_answered_in_order(bench: Bench) -> None:
    limited(bench, "3/hour")
    client = bench.client()
    client.send(
        b"".join(
            b"POST %b?%d HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
            % (b"/open" if number % 10 == 9 else b"/kept", number)
            for number in range(200)
        )
    )
    answers = [client.answer() for _ in range(200)]
    statuses = [answer.status for answer in answers]
    assert statuses[:10] == [200] * 3 + [429] * 6 + [200]
    assert statuses[10:] == ([429] * 9 + [200]) * 19
    targets = [a.json()["target"].partition("?")[2] for a in answers if a.status == 200]
    assert targets == ["0", "1", "2", *(str(number) for number in range(9, 200, 10))]


def statuses(client: Client, *asked: list[str]) -> list[int]:
    return [client.ask("/kept", *lines).status for lines in asked]


def test_clients_behind_a_trusted_proxy_are_told_apart_and_cannot_make_themselves_up(
    bench: Bench,
) -> None:
    limited(bench, "3/hour", trusted_proxies=["127.0.0.0/8", "10.0.0.0/8"])
    client = bench.client()
    spoofed = [[f"X-Forwarded-For: 1.1.1.{n}, 203.0.113.7"] for n in range(3)]
    assert statuses(client, *spoofed) == [200] * 3
    assert statuses(
        client,
        ["X-Forwarded-For: 203.0.113.7"],
        ["X-Forwarded-For: 9.9.9.9, 203.0.113.7, 10.0.0.1"],
        ["X-Forwarded-For: 203.0.113.8", "X-Forwarded-For: 203.0.113.7"],
        ["X-Forwarded-For: 203.0.113.7:4711"],
        ["X-Forwarded-For: 203.0.113.8"],
    ) == [429, 429, 429, 429, 200]


def test_strangers_cannot_make_themselves_up_at_all(bench: Bench) -> None:
    limited(bench, "3/hour")
    client = bench.client()
    asked = [[f"X-Forwarded-For: 1.1.1.{n}", f"Forwarded: for=1.1.1.{n}"] for n in range(5)]
    assert statuses(client, *asked) == [200] * 3 + [429] * 2
    with Client(bench.proxy.port) as another:
        assert statuses(another, []) == [429]


@pytest.mark.parametrize(
    ("by", "ann", "bob"),
    [
        ("header:x-key", ["X-Key: ann"], ["X-Key: bob"]),
        ("cookie:session", ["Cookie: a=b; session=ann"], ["Cookie: session=bob; a=b"]),
        ("subject", [bearer("ann")], [bearer("bob")]),
    ],
)
def test_callers_are_told_apart_by_what_the_limit_says(
    bench: Bench, by: str, ann: list[str], bob: list[str]
) -> None:
    optional = {"check": "users", "optional": True}
    before(bench, rate_limit={"limit": "2/hour", "by": by}, token=optional)
    client = bench.client()
    assert statuses(client, ann, bob, ann, ann, bob, bob) == [200, 200, 200, 429, 200, 429]
    assert statuses(client, [], [], []) == [200, 200, 429]  # whoever has none, by address


def test_limit_by_route_counts_all_callers_together(bench: Bench) -> None:
    both = [{"limit": "3/hour", "by": "route"}, {"limit": "2/hour", "by": "header:x-key"}]
    before(bench, rate_limit=both, token=None)
    client = bench.client()
    ann, bob, cid = (["X-Key: ann"], ["X-Key: bob"], ["X-Key: cid"])
    assert statuses(client, ann, ann, ann, bob, cid) == [200, 200, 429, 200, 429]


def test_refused_tokens_do_not_use_up_the_limit(bench: Bench) -> None:
    before(bench, rate_limit={"limit": "1/hour", "by": "subject"})
    client = bench.client()
    assert statuses(client, [], ["Authorization: Bearer x"], [bearer()], [bearer()]) == [
        401, 401, 200, 429
    ]  # fmt: skip


def test_refusal_of_a_large_body_ends_the_connection_in_order(bench: Bench) -> None:
    limited(bench, "1/hour")
    client = bench.client()
    assert client.ask("/kept").status == 200
    client.request("POST", "/kept", "Content-Length: 3000000")
    sender = threading.Thread(target=send_quietly, args=(client, b"x" * 3_000_000))
    sender.start()
    answer = client.answer()
    assert (answer.status, answer.header("Connection")) == (429, b"close")
    assert client.ended()
    sender.join()


def test_counts_outlive_a_reload(bench: Bench) -> None:
    limited(bench, "3/hour")
    client = bench.client()
    assert statuses(client, [], []) == [200, 200]
    served = bench.proxy.plane.config
    bench.proxy.install(served.model_copy(update={"default_timeout_s": 7.0}))
    assert statuses(client, [], []) == [200, 429]


# --- what is not used costs nothing


def test_routes_that_use_nothing_stay_plain(bench: Bench) -> None:
    before(bench)
    plane = bench.proxy.plane
    assert type(bench.proxy.call(lambda: plane._find(b"GET", b"/open"))) is Lane
    assert type(bench.proxy.call(lambda: plane._find(b"GET", b"/anything"))) is Lane
    assert type(bench.proxy.call(lambda: plane._find(b"GET", b"/kept"))) is not Lane
