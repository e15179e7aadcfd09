"""One request may choose its side if it knows the secret; nobody else ever learns that secret."""

from __future__ import annotations

import os
from typing import Any

import pytest

from strangler_proxy.config import ConfigError
from strangler_proxy.wire.outside import Outside
from tests.integration.wire.conftest import Bench
from tests.wire_tools.client import Answer, Client
from tests.wire_tools.proxy import config
from tests.wire_tools.upstream import Peer, Upstream

SECRET = "sixteen bytes: at least"  # with a colon and spaces, as a secret may have


def served(bench: Bench, *, secret: str | None = SECRET, **more: Any) -> list[Upstream]:
    def named(name: str) -> Upstream:
        def script(peer: Peer) -> None:
            while True:
                peer.request()
                peer.answer(name.encode())

        return bench.upstream(script)

    upstreams = {name: named(name) for name in ("old", "new")}
    sides = {"control": "old", "candidate": "new"}
    bench.serve(
        Outside(environ={} if secret is None else {"SIDE_SECRET": secret}),
        upstreams={name: upstream.url for name, upstream in upstreams.items()},
        routes=[
            {"name": "moving", "match": "/moving", **sides},
            {"name": "moved", "match": "/moved", **sides, "serve": "candidate"},
            {"name": "split", "match": "/split", **sides, "serve": {"candidate_percent": 50}},
            {"name": "staying", "match": "/staying", "control": "old"},
        ],
        **{"force": {"secret_env": "SIDE_SECRET"}, **more},
    )
    return list(upstreams.values())


HEADER, COOKIE = "X-Strangler-Side: {} {}", "Cookie: a=1; strangler_side={}:{}; b=2"


def leaked(upstreams: list[Upstream], secret: str = SECRET) -> bool:
    """Whether any upstream got the secret, or the field or cookie that carries it."""
    lines = [
        name.lower() + b": " + value
        for upstream in upstreams
        for request in upstream.requests
        for name, value in [*request.headers, *request.trailers]
    ]
    words = (secret.encode(), b"strangler_side", b"x-strangler-side", b"x_strangler_side")
    return any(word in line for line in lines for word in words)


@pytest.mark.parametrize("way", [HEADER, COOKIE])
@pytest.mark.parametrize("target", ["/moving", "/moved", "/split"])
def test_request_with_the_secret_chooses_its_side(bench: Bench, way: str, target: str) -> None:
    secret = SECRET.replace(" ", "_") if way == COOKIE else SECRET
    upstreams = served(bench, secret=secret)
    client = bench.client()
    for _ in range(3):
        assert client.ask(target, way.format("candidate", secret)).body == b"new"
        assert client.ask(target, way.format("control", secret)).body == b"old"
    assert not leaked(upstreams, secret)
    assert upstreams[0].requests[-1].header("Cookie") == (b"a=1; b=2" if way == COOKIE else None)


def test_header_is_read_however_it_is_spaced(bench: Bench) -> None:
    served(bench)
    client = bench.client()
    for line in (f"candidate {SECRET}", f"candidate:{SECRET}", f" candidate  {SECRET} "):
        assert client.ask("/moving", f"x-strangler-side: {line}").body == b"new", line


WRONG = [
    f"candidate {SECRET}x",
    f"candidate {SECRET[:-1]}",
    "candidate",
    "candidate ",
    "",
    SECRET,
    f"{SECRET} candidate",
    f"candidate {SECRET.upper()}",
]


@pytest.mark.parametrize("said", WRONG)
def test_request_with_a_wrong_secret_goes_where_all_go(bench: Bench, said: str) -> None:
    upstreams = served(bench)
    client = bench.client()
    for line in (f"X-Strangler-Side: {said}", f"Cookie: strangler_side={said}"):
        assert client.ask("/moving", line).body == b"old"
        assert client.ask("/moved", line).body == b"new"
    assert not leaked(upstreams)


@pytest.mark.parametrize("side", ["", "both", "canary", "Candidate"])
def test_side_that_there_is_not_goes_where_all_go(bench: Bench, side: str) -> None:
    served(bench)
    client = bench.client()
    assert client.ask("/moving", HEADER.format(side, SECRET)).body == b"old"
    assert client.ask("/staying", HEADER.format("candidate", SECRET)).body == b"old"


@pytest.mark.parametrize("target", ["/moving", "/staying", "/by-default"])
@pytest.mark.parametrize("configured", [True, False])
def test_secret_reaches_no_upstream_on_any_route(
    bench: Bench, target: str, configured: bool
) -> None:
    secret = SECRET.replace(" ", "_")
    upstreams = served(bench, secret=secret, **({} if configured else {"force": None}))
    client = bench.client()
    lines = [
        HEADER.format("candidate", secret),
        f"X_Strangler_Side: candidate {secret}",
        "Connection: X-Strangler-Side",
    ]
    if configured:
        lines += [f"Cookie: strangler_side=candidate:{secret}", f"Cookie: strangler_side={secret}"]
    client.request("POST", target, *lines, "Transfer-Encoding: chunked")
    client.send(f"0\r\nX-Strangler-Side: candidate {secret}\r\n\r\n".encode())
    answer = client.answer()
    assert (answer.status, answer.body) == (
        200, b"new" if configured and target == "/moving" else b"old"
    )  # fmt: skip
    assert not leaked(upstreams, secret)


def test_secret_may_be_bytes_that_are_no_text(bench: Bench) -> None:
    secret = b"sixteen bytes \xff\xfe and more"
    served(bench, secret=os.fsdecode(secret))
    client = bench.client()
    line = HEADER.format("candidate", secret.decode("latin-1"))
    assert client.ask("/moving", line).body == b"new"
    assert client.ask("/moving").body == b"old"


def test_forced_side_whose_breaker_is_open_is_not_asked(bench: Bench) -> None:
    old, new = bench.upstream(), bench.upstream()
    bench.serve(
        Outside(environ={"SIDE_SECRET": SECRET}),
        upstreams={"old": old.url, "new": {"url": new.url, "breaker": {}}},
        routes=[{"name": "r", "match": "/r", "control": "old", "candidate": "new"}],
        force={"secret_env": "SIDE_SECRET"},
    )
    breaker = bench.proxy.plane.pools["new"].breaker
    assert breaker is not None
    bench.proxy.call(lambda: breaker.force("open"))
    client = bench.client()
    assert client.ask("/r", HEADER.format("candidate", SECRET)).status == 503
    assert client.ask("/r").status == 200


@pytest.mark.parametrize(
    ("secret", "told"), [(None, "not set"), ("", "not set"), ("too short", "16 bytes")]
)
def test_secret_that_is_none_is_refused_with_the_configuration(
    bench: Bench, secret: str | None, told: str
) -> None:
    served(bench, secret=None, force=None)
    environ = {} if secret is None else {"SIDE_SECRET": secret}
    bench.proxy.plane.outside.environ = environ
    before = bench.proxy.plane.config
    forcing = config(upstreams={"old": "http://127.0.0.1:1"}, force={"secret_env": "SIDE_SECRET"})
    with pytest.raises(ConfigError, match=told):
        bench.proxy.install(forcing)
    assert bench.proxy.plane.config is before
    assert asks(bench.client()).status == 200


def asks(client: Client) -> Answer:
    return client.ask("/moving")


class Untouchable(bytes):
    """Bytes that nobody may compare the ordinary way, which stops at the first difference."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared with ==")

    __ne__ = __eq__


def test_secrets_are_compared_in_constant_time(bench: Bench) -> None:
    served(bench)
    bench.proxy.plane.equipment.secret = Untouchable(SECRET.encode())
    client = bench.client()
    assert client.ask("/moving", HEADER.format("candidate", SECRET)).body == b"new"
    assert client.ask("/moving", HEADER.format("candidate", SECRET[:-1] + "x")).body == b"old"
