"""Health checks over real sockets: what makes an address unwell, and what no check may hold up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from strangler_proxy.config import Config
from strangler_proxy.gateway.health import AT_ONCE
from strangler_proxy.gateway.membership import Membership
from tests.integration.gateway.places import run, until
from tests.wire_tools.certificates import Authority
from tests.wire_tools.proxy import config
from tests.wire_tools.upstream import Peer, Upstream

OFTEN = {"every_s": 0.05, "timeout_s": 1, "fall": 2, "rise": 2}


def answer(status: str, body: bytes = b"") -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(body, status=status)
        peer.gone()

    return script


class Watched(Upstream):
    """An upstream that tells how many connections are open."""

    @property
    def open(self) -> int:
        return len(self._open)


well, ill = answer("200 OK"), answer("503 Service Unavailable")


@asynccontextmanager
async def checking(settings: Config, tmp_path: Path) -> AsyncIterator[Membership]:
    members = Membership(lambda _: None, tmp_path / "addresses.json")
    try:
        members.configure(settings)
        yield members
    finally:
        await members.close()


def checked(*urls: str, check: dict[str, Any] | None = None, **more: Any) -> Config:
    upstream = {"urls": urls, "health": "/health?deep=1", "health_check": check or OFTEN, **more}
    return config(upstreams={"image": upstream})


def wellness(members: Membership, upstream: str = "image") -> list[bool]:
    return [member.well for member in members.members()[upstream]]


def last_checks(members: Membership) -> list[dict[str, Any] | None]:
    return [each["check"] for each in members.status()[0]["addresses"]]


def test_one_address_falls_and_rises_and_the_other_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "strangler_proxy")

    async def main(one: Upstream, other: Upstream) -> None:
        async with checking(checked(one.url, other.url), tmp_path) as members:
            await until(lambda: all(last_checks(members)), "both have been checked")
            assert wellness(members) == [True, True]
            one.script = ill
            await until(lambda: wellness(members) == [False, True], "it has fallen")
            assert "is not well: 503" in caplog.text
            one.script = well
            await until(lambda: wellness(members) == [True, True], "it has risen")
            assert caplog.text.count("not well") == caplog.text.count("well again") == 1

    with Upstream(well) as one, Upstream(well) as other:
        run(main(one, other))
    request = one.requests[0]
    assert (request.method, request.target) == ("GET", "/health?deep=1")
    assert request.header("Host") == f"127.0.0.1:{one.port}".encode()
    assert request.header("Connection") == b"close"
    assert len(one.requests) == one.connections, "a connection of its own for each"


def close_at_once(peer: Peer) -> None:
    peer.request()
    peer.reset()


def garbage(peer: Peer) -> None:
    peer.request()
    peer.send(b"\x00\x01garbage\r\n\r\n")
    peer.gone()


def endless_head(peer: Peer) -> None:
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        peer.send(b"X: " + b"x" * 60_000 + b"\r\n")


def redirect(peer: Peer) -> None:
    if peer.request().target.startswith("/health"):
        peer.answer(b"", "Location: /fine", status="302 Found")
    else:
        peer.answer()
    peer.gone()


def silence(peer: Peer) -> None:
    peer.request()
    peer.gone()


@pytest.mark.parametrize(
    "script",
    [
        answer("500 Internal Server Error"),
        answer("404 Not Found"),
        redirect,
        answer("199 Odd"),
        close_at_once,
        garbage,
        endless_head,
        silence,
    ],
)
def test_what_is_no_good_answer_makes_an_address_unwell(
    tmp_path: Path, script: Callable[[Peer], None]
) -> None:
    async def main(url: str) -> None:
        settings = checked(url, check={**OFTEN, "timeout_s": 0.2})
        async with checking(settings, tmp_path) as members:
            await until(lambda: wellness(members) == [False], "it has fallen")

    with Upstream(script) as upstream:
        run(main(upstream.url))


@pytest.mark.parametrize(
    "script", [answer("204 No Content"), answer("299 Fine"), answer("200 OK", b"x" * 10_000_000)]
)
def test_any_success_is_well_whatever_its_body(
    tmp_path: Path, script: Callable[[Peer], None]
) -> None:
    async def main(upstream: Upstream) -> None:
        async with checking(checked(upstream.url), tmp_path) as members:
            await until(lambda: len(upstream.requests) >= 4, "checked a few times")
            assert wellness(members) == [True]

    with Upstream(script) as upstream:
        run(main(upstream))


def test_a_name_that_cannot_be_found_and_a_port_where_nobody_listens_are_unwell(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        settings = checked("http://127.0.0.1:1", f"http://{'x' * 80}:80")
        async with checking(settings, tmp_path) as members:
            await until(lambda: wellness(members) == [False, False], "both have fallen")
            said = [check["said"] for check in last_checks(members) if check]
            assert said[0] == "127.0.0.1:1 cannot be reached: Connection refused"
            assert "cannot be" in said[1]

    run(main())


@contextlib.contextmanager
def silent_addresses(number: int) -> Iterator[list[str]]:
    """Addresses that accept, in the kernel, and never say anything."""
    with contextlib.ExitStack() as stack:
        socks = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
            for _ in range(number)
        ]
        yield [f"http://127.0.0.1:{sock.getsockname()[1]}" for sock in socks]


def test_more_silent_addresses_than_may_be_asked_at_once_hold_up_no_other_check(
    tmp_path: Path,
) -> None:
    async def main(upstream: Upstream, silent: list[str]) -> None:
        slow = {"every_s": 0.05, "timeout_s": 30}
        settings = config(
            upstreams={
                "silent": {"urls": silent, "health": "/", "health_check": slow},
                "image": {"url": upstream.url, "health": "/", "health_check": OFTEN},
            }
        )
        async with checking(settings, tmp_path) as members:
            await until(lambda: upstream.requests, "the other is checked")
            upstream.script = ill
            took = await until(lambda: wellness(members) == [False], "it has fallen")
            assert took < 2
            assert all(wellness(members, "silent")), "too early to tell"

    with Upstream(well) as upstream, silent_addresses(AT_ONCE + 20) as silent:
        run(main(upstream, silent))


def test_silent_addresses_fall_after_as_many_timeouts_as_configured(tmp_path: Path) -> None:
    async def main(silent: list[str]) -> None:
        check = {"every_s": 0.1, "timeout_s": 0.2, "fall": 2}
        async with checking(checked(*silent, check=check), tmp_path) as members:
            took = await until(lambda: wellness(members) == [False] * 20, "all have fallen")
            assert 0.35 < took < 3
            assert "no answer in 0.2 s" in str(last_checks(members)[0])

    with silent_addresses(20) as silent:
        run(main(silent))


def test_without_checks_every_address_is_well_and_nobody_asks(tmp_path: Path) -> None:
    async def main(upstream: Upstream) -> None:
        plain = config(upstreams={"image": {"urls": [upstream.url], "health": "/health?deep=1"}})
        async with checking(checked(upstream.url), tmp_path) as members:
            await until(lambda: wellness(members) == [False], "it has fallen")
            members.configure(plain)
            assert wellness(members) == [True]
            await until(lambda: not upstream.open, "the last check is over")
            before = upstream.connections
            await asyncio.sleep(0.3)
            assert upstream.connections == before
            assert last_checks(members) == [None]

    with Watched(ill) as upstream:
        run(main(upstream))


def test_a_reload_keeps_the_verdict_and_goes_on_by_the_new_rules(tmp_path: Path) -> None:
    async def main(upstream: Upstream) -> None:
        async with checking(checked(upstream.url), tmp_path) as members:
            await until(lambda: wellness(members) == [False], "it has fallen")
            members.configure(checked(upstream.url))
            assert wellness(members) == [False]
            members.configure(checked(upstream.url, check={**OFTEN, "rise": 1}))
            assert wellness(members) == [False]
            upstream.script = well
            await until(lambda: wellness(members) == [True], "one good check is enough now")

    with Upstream(ill) as upstream:
        run(main(upstream))


def test_the_same_configuration_again_does_not_check_more_often(tmp_path: Path) -> None:
    async def main(upstream: Upstream) -> None:
        settings = checked(upstream.url, check={**OFTEN, "every_s": 3600})
        async with checking(settings, tmp_path) as members:
            for _ in range(20):
                members.configure(settings)
            await until(lambda: last_checks(members)[0], "checked once")
            for _ in range(20):
                members.configure(settings)
            await asyncio.sleep(
                0.6
            )  # a check that was started anew would begin within half a second
            assert upstream.connections == 1

    with Upstream(well) as upstream:
        run(main(upstream))


def test_checks_come_every_so_often_and_not_more(tmp_path: Path) -> None:
    async def main(upstream: Upstream) -> None:
        settings = checked(upstream.url, check={**OFTEN, "every_s": 0.2})
        async with checking(settings, tmp_path) as members:
            await until(lambda: upstream.requests, "the first")
            began = time.monotonic()
            await until(lambda: len(upstream.requests) >= 11, "ten more")
            assert 1.75 < time.monotonic() - began < 4
            assert wellness(members) == [True]

    with Upstream(well) as upstream:
        run(main(upstream))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize(
    ("tls", "is_well"),
    [
        ({"ca": True, "server_name": "image.test"}, True),
        ({"verify": False}, True),
        ({"ca": True, "server_name": "other.test"}, False),
        ({"ca": True}, False),
        ({"server_name": "image.test"}, False),
    ],
)
def test_tls_is_checked_as_the_upstream_says(
    tmp_path: Path, authority: Authority, tls: dict[str, Any], is_well: bool
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.certificate("image.test"))
    asked: list[str | None] = []
    context.sni_callback = lambda _, name, __: asked.append(name)
    if tls.pop("ca", False):
        tls["ca"] = str(authority.path)

    once = {**OFTEN, "every_s": 3600, "fall": 1}

    async def main(upstream: Watched) -> None:
        async with checking(checked(upstream.url, tls=tls, check=once), tmp_path) as members:
            await until(lambda: last_checks(members)[0], "it has been checked")
            assert wellness(members) == [is_well]
            said = last_checks(members)[0]["said"]
            assert said == "200" if is_well else "cannot be trusted" in said
            # TLS says goodbye both ways; a loop that ends before leaves the socket open.
            await until(lambda: not upstream.open, "the connection is closed")
            await asyncio.sleep(0.05)

    with Watched(well, context) as upstream:
        run(main(upstream))
    assert asked == [tls.get("server_name")]


def test_settings_of_tls_that_cannot_be_used_take_no_address_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        settings = checked("https://127.0.0.1:1", tls={"ca": str(tmp_path / "missing.pem")})
        async with checking(settings, tmp_path) as members:
            assert wellness(members) == [True]
            assert "TLS settings cannot be used" in caplog.text

    run(main())
