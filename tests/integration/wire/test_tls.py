"""TLS on both sides: who is believed, and that a cut answer is broken there too."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.integration.wire.conftest import Bench
from tests.wire_tools.certificates import Authority
from tests.wire_tools.proxy import until
from tests.wire_tools.stream import Broken
from tests.wire_tools.upstream import Peer


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


def test_handshake_must_be_over_when_a_head_must(bench: Bench, authority: Authority) -> None:
    certificate, key = authority.certificate("localhost")
    bench.serve(
        upstreams={"monolith": bench.upstream().url},
        tls={"certificate": str(certificate), "key": str(key)},
        timeouts={"header_s": 0.2},
    )
    silent = bench.client()
    assert silent.ended()


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
