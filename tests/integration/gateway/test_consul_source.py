"""What a registry may say, and what the source makes of it; the registry is a double."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from strangler_proxy.config import Consul
from strangler_proxy.config.upstream import ConsulService
from strangler_proxy.gateway.discovery.consul import MOST_BYTES, ConsulSource, next_index
from strangler_proxy.gateway.discovery.names import Names
from strangler_proxy.gateway.discovery.source import MOST_ADDRESSES, NoAnswer
from strangler_proxy.gateway.sessions import open_session
from tests.integration.gateway.places import Registry, Site, instance, run


@asynccontextmanager
async def source_of(url: str, **settings: Any) -> AsyncIterator[ConsulSource]:
    """A source of the service `image`; settings are those of Consul, ConsulService and itself."""
    consul = {key: settings.pop(key) for key in ("token_env", "datacenter") if key in settings}
    wanted = {"service": settings.pop("service", "image"), "tag": settings.pop("tag", None)}
    session = open_session(Names(), keep=True)
    try:
        yield ConsulSource(
            session,
            Consul(url=url, **consul),
            ConsulService(**wanted),
            time.monotonic,
            **{"wait_s": 1.0, "answer_s": 2.0, **settings},
        )
    finally:
        await session.close()


async def refusal(source: ConsulSource) -> str:
    with pytest.raises(NoAnswer) as refused:
        await source.ask()
    return str(refused.value)


def asked(registry: Site, talk: Callable[[ConsulSource], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        async with registry, source_of(registry.url, **settings) as source:
            return await talk(source)

    return run(main())


def one_answer(**said: Any) -> str | list[str]:
    """What the source makes of one answer: its addresses, or why it is none."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(**{"headers": {"X-Consul-Index": "5"}, "status": 200, **said})

    async def talk(source: ConsulSource) -> str | list[str]:
        try:
            return [str(address) for address in await source.ask()]
        except NoAnswer as refused:
            return str(refused)

    result: str | list[str] = asked(Site(handler), talk)
    return result


def listed(*instances: Any) -> str | list[str]:
    return one_answer(body=json.dumps(instances).encode())


def test_the_addresses_are_sorted_and_come_once() -> None:
    assert listed(instance(82), instance(81), instance(82)) == ["127.0.0.1:81", "127.0.0.1:82"]


def test_an_instance_without_an_address_is_found_at_its_node() -> None:
    assert listed(instance(81, host="")) == ["10.9.9.9:81"]


def test_names_and_ipv6_are_addresses_too() -> None:
    assert listed(instance(80, "::1"), instance(80, "image-1.internal")) == [
        "[::1]:80",
        "image-1.internal:80",
    ]


def test_nobody_is_an_answer() -> None:
    assert listed() == []


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("127.0.0.1", 0),
        ("127.0.0.1", -1),
        ("127.0.0.1", 65_536),
        ("a b", 80),
        ("a\r\nHost: b", 80),
        ("evil/../path", 80),
        ("user@host", 80),
        ("fe80::1%eth0", 80),
        ("-x", 80),
        ("x" * 300, 80),
        ("[::1]", 80),
    ],
)
def test_an_unusable_instance_is_left_out_and_told(
    host: str, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert listed(instance(port, host), instance(81)) == ["127.0.0.1:81"]
    told = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert len(told) == 1
    assert told[0].isprintable()


def test_only_unusable_instances_are_no_answer() -> None:
    assert "address with a port" in str(listed(instance(0)))


def test_more_addresses_than_can_be_used_are_cut_the_same_way_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    instances = [instance(port) for port in range(20_000, 20_000 + MOST_ADDRESSES + 10)]
    found = listed(*instances)
    assert found == listed(*reversed(instances))
    assert len(found) == MOST_ADDRESSES
    assert "are used" in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"\xff",
        b"<html>404</html>",
        b'[{"Node": {}}]',
        b'[{"Node": null, "Service": {"Address": "127.0.0.1", "Port": 80}}]',
        b'[{"Node": {}, "Service": {"Address": "127.0.0.1", "Port": "80"}}]',
        b'[{"Node": {}, "Service": {"Address": 127, "Port": 80}}]',
        b'[{"Node": {}, "Service": {"Address": "127.0.0.1", "Port": 1e400}}]',
        b"[" * 200_000,
        b'[{"More": ' + b"[" * 200_000,
    ],
)
def test_garbage_is_no_answer(body: bytes) -> None:
    assert "not a list of instances" in one_answer(body=body)


@pytest.mark.parametrize("index", ["", "x", "-3", "1.5", "²", "9" * 21, "9" * 5000])
def test_an_answer_without_an_index_is_not_from_consul(index: str) -> None:
    told = one_answer(body=b"[]", headers={"X-Consul-Index": index})
    assert "X-Consul-Index" in told


def test_no_leader_is_no_answer_and_its_words_are_passed_on_in_one_line() -> None:
    told = one_answer(status=500, body=b"No cluster leader\n\x1b[2J\n")
    assert str(told).startswith("it answered 500 No cluster leader")
    assert str(told).isprintable()


@pytest.mark.parametrize(
    "header", [{"X-Consul-KnownLeader": "false"}, {"X-Consul-Results-Filtered-By-ACLs": "true"}]
)
def test_an_empty_list_for_another_reason_than_that_nobody_is_there_is_no_answer(
    header: dict[str, str],
) -> None:
    assert isinstance(one_answer(body=b"[]", headers={"X-Consul-Index": "5", **header}), str)


def test_a_redirect_is_not_followed_with_the_token() -> None:
    told = one_answer(
        status=307, headers={"Location": "http://127.0.0.1:1/", "X-Consul-Index": "5"}
    )
    assert "307" in told


def test_an_endless_answer_is_given_up_at_the_bound() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"X-Consul-Index": "5"})
        await response.prepare(request)
        while sent < 10 * MOST_BYTES:
            await response.write(b" " * 65_536)
            sent += 65_536
        return response

    assert "longer than" in asked(Site(endless), refusal, answer_s=20.0)
    assert sent < 2 * MOST_BYTES


def test_an_answer_that_never_ends_is_given_up_in_time() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"X-Consul-Index": "5"})
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)

    began = time.monotonic()
    assert "no answer in 0.5 s" in asked(Site(drip), refusal, answer_s=0.5)
    assert time.monotonic() - began < 3


def test_a_cut_answer_is_no_answer() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"X-Consul-Index": "5", "Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"[]")
        assert request.transport is not None
        request.transport.abort()
        return response

    assert asked(Site(cut), refusal)


def test_what_does_not_speak_http_is_no_answer() -> None:
    async def main() -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
            writer.close()

        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, source_of(f"http://127.0.0.1:{port}") as source:
            assert await refusal(source)

    run(main())


def test_nobody_listening_is_no_answer() -> None:
    async def main() -> None:
        async with source_of("http://127.0.0.1:1") as source:
            assert "127.0.0.1:1" in await refusal(source)

    run(main())


def test_the_question_names_everything_that_was_configured() -> None:
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(body=b"[]", headers={"X-Consul-Index": "5"})

    asked(
        Site(handler),
        lambda source: source.ask(),
        service="a/b ü",
        tag="v1&x",
        datacenter="east",
        token_env="TOKEN",
        environment={"TOKEN": "secret\n"},
    )
    assert seen[0].raw_path.partition("?")[0] == "/v1/health/service/a%2Fb%20%C3%BC"
    assert dict(seen[0].query) == {
        "passing": "1",
        "index": "0",
        "wait": "1000ms",
        "tag": "v1&x",
        "dc": "east",
    }
    assert seen[0].headers["X-Consul-Token"] == "secret"


def test_a_token_that_is_not_there_is_not_left_out() -> None:
    registry = Registry(81)
    told = asked(registry, refusal, token_env="TOKEN", environment={})
    assert "TOKEN" in told
    assert registry.asked == []


@pytest.mark.parametrize(
    ("before", "given", "next_one"), [(0, 7, 7), (7, 9, 9), (7, 7, 7), (9, 7, 0), (0, 0, 1)]
)
def test_the_next_index(before: int, given: int, next_one: int) -> None:
    assert next_index(before, given) == next_one


def test_a_change_is_waited_for_and_seen_at_once() -> None:
    async def talk(source: ConsulSource) -> None:
        assert len(await source.ask()) == 1
        asyncio.get_running_loop().call_later(0.1, registry.tell, 81, 82)
        began = time.monotonic()
        assert len(await source.ask()) == 2
        assert 0.05 < time.monotonic() - began < 0.6

    registry = Registry(81)
    asked(registry, talk, wait_s=20.0)
    assert registry.asked == [0, 7]


def test_no_change_is_answered_after_the_wait_and_is_no_failure() -> None:
    async def talk(source: ConsulSource) -> None:
        assert [len(await source.ask()) for _ in range(3)] == [1, 1, 1]

    registry = Registry(81)
    asked(registry, talk, wait_s=0.1, answer_s=1.0)
    assert registry.asked == [0, 7, 7]


def test_an_index_that_goes_backwards_begins_anew() -> None:
    async def talk(source: ConsulSource) -> None:
        await source.ask()
        registry.tell(82, index=3)
        for _ in range(3):
            found = await source.ask()
        assert [address.port for address in found] == [82]

    registry = Registry(81)
    asked(registry, talk, wait_s=0.2)
    assert registry.asked == [0, 7, 0, 3]


def test_after_a_failure_it_begins_anew() -> None:
    async def talk(source: ConsulSource) -> None:
        await source.ask()
        registry.status = 500
        registry.tell()
        await refusal(source)
        registry.status = 200
        await source.ask()

    registry = Registry(81)
    asked(registry, talk)
    assert registry.asked == [0, 7, 0]


@pytest.mark.parametrize("index", [0, None])
def test_a_registry_that_never_waits_is_asked_at_a_bounded_rate(index: int | None) -> None:
    count = 0

    async def flapping(request: web.Request) -> web.Response:
        nonlocal count
        count += 1
        told = (1000 + count) if index is None else index
        return web.Response(body=b"[]", headers={"X-Consul-Index": str(told)})

    async def talk(source: ConsulSource) -> None:
        try:
            async with asyncio.timeout(2.5):
                while True:
                    await source.ask()
        except TimeoutError:
            pass

    asked(Site(flapping), talk)
    assert 5 <= count <= 8


def test_a_registry_that_stops_answering_while_asked_to_wait_is_given_up() -> None:
    async def talk(source: ConsulSource) -> None:
        await source.ask()
        registry.index = -1  # nobody is answered any more

        async def silent(request: web.Request) -> web.StreamResponse:
            await asyncio.Event().wait()
            raise AssertionError

        registry.handler = silent
        began = time.monotonic()
        assert "no answer" in await refusal(source)
        assert 0.2 * 17 / 16 + 0.3 <= time.monotonic() - began < 3

    registry = Registry(81)
    asked(registry, talk, wait_s=0.2, answer_s=0.3)
