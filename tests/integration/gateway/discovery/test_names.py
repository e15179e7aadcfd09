"""Members follow DNS, by a resolver's double and by the real one; a resolver may hang."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from strangler_proxy.config import Config
from strangler_proxy.gateway.discovery.names import Names
from strangler_proxy.gateway.membership import Membership
from tests.integration.gateway.discovery.members import membership, row
from tests.integration.gateway.places import run, until
from tests.wire_tools.proxy import config


class Resolver:
    """A resolver whose answer a test sets; None hangs until `let_go`."""

    def __init__(self, *hosts: str) -> None:
        self.hosts: tuple[str, ...] | None = hosts
        self.asked = 0
        self.waiting = 0
        self._go = threading.Event()

    def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked += 1
        if self.hosts is None:
            self.waiting += 1
            assert self._go.wait(20)
            self.waiting -= 1
        if not self.hosts:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6, 1, 6, "", (each, port, 0, 0))
            if ":" in each
            else (socket.AF_INET, 1, 6, "", (each, port))
            for each in self.hosts
        ]

    def let_go(self, *hosts: str) -> None:
        self.hosts = hosts
        self._go.set()


@pytest.fixture
def hanging() -> Iterator[Resolver]:
    resolver = Resolver()
    resolver.hosts = None
    yield resolver
    resolver.let_go()


def by_name(every_s: float = 0.05, url: str = "http://image.test:80") -> Config:
    return config(upstreams={"image": {"dns": {"url": url, "every_s": every_s}}})


def hosts(members: Membership) -> list[str]:
    return [member.address.host for member in members.members()["image"]]


def test_every_address_of_a_name_is_a_member_and_changes_are_seen(tmp_path: Path) -> None:
    async def main() -> None:
        resolver = Resolver("10.0.0.2", "fd00::1", "10.0.0.1", "10.0.0.2")
        async with membership(tmp_path, by_name(), names=Names(resolver)) as (members, _):
            await members.first_answers(5)
            assert hosts(members) == ["10.0.0.1", "10.0.0.2", "fd00::1"]
            resolver.hosts = ("10.0.0.3",)
            await until(lambda: hosts(members) == ["10.0.0.3"], "moved", 2)

    run(main())


def test_a_name_is_looked_up_every_so_often_and_not_more(tmp_path: Path) -> None:
    async def main() -> None:
        resolver = Resolver("10.0.0.1")
        async with membership(tmp_path, by_name(0.2), names=Names(resolver)) as (members, _):
            await members.first_answers(5)
            took = await until(lambda: resolver.asked >= 5, "four more times")
            assert 0.75 < took < 3
            assert resolver.asked == 5

    run(main())


def test_a_name_that_is_not_found_any_more_keeps_its_addresses(tmp_path: Path) -> None:
    async def main() -> None:
        resolver = Resolver("10.0.0.1")
        async with membership(tmp_path, by_name(), names=Names(resolver)) as (members, _):
            await members.first_answers(5)
            resolver.hosts = ()
            await until(lambda: row(members)["fault"], "noticed")
            assert "not known" in row(members)["fault"]
            assert hosts(members) == ["10.0.0.1"]
            resolver.hosts = ("10.0.0.2",)
            await until(lambda: hosts(members) == ["10.0.0.2"], "found again", 6)

    run(main())


def test_the_real_resolver_finds_this_machine(tmp_path: Path) -> None:
    async def main() -> None:
        async with membership(tmp_path, by_name(url="http://localhost:80")) as (members, _):
            await members.first_answers(10)
            assert "127.0.0.1" in hosts(members)

    run(main())


def test_a_name_that_cannot_be_one_is_a_fault_and_no_crash(tmp_path: Path) -> None:
    async def main() -> None:
        settings = by_name(url=f"http://{'x' * 80}.test:80")
        async with membership(tmp_path, settings) as (members, _):
            await until(lambda: row(members)["fault"], "noticed")
            assert hosts(members) == []

    run(main())


def test_a_hanging_resolver_holds_one_thread_however_often_it_is_asked(hanging: Resolver) -> None:
    async def main() -> None:
        names = Names(hanging)
        for _ in range(20):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await names.look_up("image.test", 80)
        assert (hanging.asked, names.threads) == (1, 1)
        asking = asyncio.ensure_future(names.look_up("image.test", 80))
        await asyncio.sleep(0)
        hanging.let_go("10.0.0.1")
        assert [address.host for address in await asking] == ["10.0.0.1"]
        assert (hanging.asked, names.threads) == (1, 0), "who came later shares the answer"

    run(main())


def test_many_hanging_names_hold_a_bounded_number_of_threads(hanging: Resolver) -> None:
    async def main() -> None:
        names = Names(hanging, most=3)
        asking = [asyncio.ensure_future(names.look_up(f"{n}.test", 80)) for n in range(10)]
        await until(lambda: hanging.waiting == 3, "the first are asked")
        await asyncio.sleep(0.05)
        assert hanging.asked == names.threads == 3
        hanging.let_go("10.0.0.1")
        assert len(await asyncio.gather(*asking)) == 10, "the others had their turn"

    run(main())


def test_a_process_ends_while_a_resolver_hangs() -> None:
    program = """
import asyncio, threading
from strangler_proxy.gateway.discovery.names import Names

async def main():
    try:
        async with asyncio.timeout(0.1):
            await Names(lambda *_, **__: threading.Event().wait()).look_up("image.test", 80)
    except TimeoutError:
        print("given up")

asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert (ended.stdout, ended.stderr) == ("given up\n", "")
