"""Addresses that come and go: a registry's double, a resolver's double, and a real Consul agent."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from strangler_proxy.config import Config
from strangler_proxy.gateway.discovery.names import Names
from strangler_proxy.gateway.discovery.watch import Watch
from strangler_proxy.gateway.membership import Membership
from tests.consul import Consul, consul_agent
from tests.integration.gateway.places import Registry, instance, run, until
from tests.wire_tools.proxy import config

log = logging.getLogger(__name__)


class Told(list[frozenset[str]]):
    """What `changed` was called with."""


@asynccontextmanager
async def membership(
    tmp_path: Path, settings: Config | None = None, **more: Any
) -> AsyncIterator[tuple[Membership, Told]]:
    told = Told()
    members = Membership(told.append, tmp_path / "addresses.json", **more)
    try:
        if settings is not None:
            members.configure(settings)
        yield members, told
    finally:
        await members.close()


def ports(members: Membership, upstream: str = "image") -> list[int]:
    return [member.address.port for member in members.members()[upstream]]


def row(members: Membership, upstream: str = "image") -> dict[str, Any]:
    return next(row for row in members.status() if row["upstream"] == upstream)


def found_in(url: str, **upstreams: Any) -> Config:
    upstreams.setdefault("image", {"consul": {"service": "image"}})
    return config(upstreams=upstreams, consul={"url": url})


# --- fixed addresses


def test_fixed_addresses_are_members_in_the_order_of_the_file(tmp_path: Path) -> None:
    async def main() -> None:
        settings = config(
            upstreams={
                "monolith": "http://b:5000",
                "image": {"urls": ["http://z:1", "http://a:2"]},
            }
        )
        async with membership(tmp_path, settings) as (members, told):
            found = members.members()
            assert list(found) == ["monolith", "image"]
            assert [str(member.address) for member in found["image"]] == ["z:1", "a:2"]
            assert all(member.well and not member.draining for member in found["image"])
            await until(lambda: told, "told")
            assert told == [frozenset({"monolith", "image"})]
            members.configure(settings)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(told) == 1, "nothing has changed"

    run(main())
    assert not list(tmp_path.iterdir()), "nothing is discovered, nothing remembered"


def test_draining_holds_through_reloads_while_the_address_is_there(tmp_path: Path) -> None:
    async def main() -> None:
        both = config(upstreams={"image": {"urls": ["http://h:1", "http://h:2"]}})
        first = config(upstreams={"image": "http://h:1"})
        async with membership(tmp_path, both) as (members, told):
            await until(lambda: told, "told")
            assert members.drain("image", "h:2", True).draining
            assert members.drain("image", "h:2", True).draining
            await until(lambda: len(told) == 2, "told of draining, once")
            members.configure(both)
            assert [member.draining for member in members.members()["image"]] == [False, True]
            assert not members.drain("image", "h:2", False).draining
            members.drain("image", "h:2", True)
            members.configure(first)
            members.configure(both)
            assert not any(member.draining for member in members.members()["image"])

    run(main())


@pytest.mark.parametrize(
    ("upstream", "address", "says"),
    [
        ("picture", "h:1", "there are: image"),
        ("image", "h:3", "it has: h:1"),
        ("image", "h", "host:port"),
    ],
)
def test_draining_what_is_not_there_says_what_is(
    tmp_path: Path, upstream: str, address: str, says: str
) -> None:
    async def main() -> None:
        settings = config(upstreams={"image": "http://h:1"})
        async with membership(tmp_path, settings) as (members, _):
            with pytest.raises(LookupError, match=says):
                members.drain(upstream, address, True)

    run(main())


# --- a registry's double


def test_members_follow_the_registry_and_each_change_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        registry = Registry(82, 81)
        async with registry, membership(tmp_path, found_in(registry.url)) as (members, told):
            await members.first_answers(5)
            assert ports(members) == [81, 82]
            await until(lambda: told, "told of the first answer")
            registry.tell(82)
            await until(lambda: ports(members) == [82], "one has left", 2)
            registry.tell()
            await until(lambda: ports(members) == [], "nobody is an answer", 2)
            await until(lambda: told[-3:] == [frozenset({"image"})] * 3, "told of each")

    run(main())


def test_a_burst_of_changes_is_told_once(tmp_path: Path) -> None:
    async def main() -> None:
        names = [f"image-{number}" for number in range(20)]
        upstreams = {name: {"url": f"http://h:{80 + n}"} for n, name in enumerate(names)}
        async with membership(tmp_path, config(upstreams=upstreams)) as (members, told):
            await until(lambda: told, "told")
            for n, name in enumerate(names):
                members.drain(name, f"h:{80 + n}", True)
            await until(lambda: len(told) > 1, "told again")
            assert told == [frozenset(names), frozenset(names)]

    run(main())


def test_first_answers_waits_no_longer_than_it_was_told(tmp_path: Path) -> None:
    async def main() -> None:
        settings = found_in("http://127.0.0.1:1")
        async with membership(tmp_path, settings) as (members, _):
            async with asyncio.timeout(5):
                await members.first_answers(0.2)
            assert ports(members) == []
            assert row(members)["failing_s"] is not None
            assert "127.0.0.1:1" in row(members)["fault"]

    run(main())


def test_a_failing_registry_leaves_the_last_known_and_is_told_once_an_outage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "strangler_proxy")

    async def main() -> None:
        registry = Registry(81, 82)
        async with registry, membership(tmp_path, found_in(registry.url)) as (members, _):
            await members.first_answers(5)
            registry.status = 500
            registry.tell()
            await until(lambda: registry.asked.count(0) >= 4, "asked again and again")
            assert ports(members) == [81, 82]
            assert len([r for r in caplog.records if "gives no answer" in r.message]) == 1
            registry.status = 200
            registry.tell(82)
            took = await until(lambda: ports(members) == [82], "seen again")
            assert took < 6
            assert len([r for r in caplog.records if "answers again" in r.message]) == 1
            assert row(members)["failing_s"] is None
            await registry.stop()
            await until(lambda: row(members)["failing_s"] is not None, "down again")
            assert len([r for r in caplog.records if "gives no answer" in r.message]) == 2
            assert ports(members) == [82]

    run(main())


def test_garbage_from_a_registry_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        registry = Registry(81)
        async with registry, membership(tmp_path, found_in(registry.url)) as (members, _):
            await members.first_answers(5)
            registry.tell(body='[{"Node": 5}]')
            await until(lambda: row(members)["fault"], "noticed")
            assert ports(members) == [81]

    run(main())


def test_the_last_known_serve_after_a_restart_while_the_registry_is_down(tmp_path: Path) -> None:
    async def main() -> None:
        registry = Registry(81, 82)
        async with registry:
            settings = found_in(registry.url)
            async with membership(tmp_path, settings) as (members, _):
                await members.first_answers(5)
        async with membership(tmp_path, settings) as (members, told):
            assert ports(members) == [81, 82]
            await members.first_answers(0.2)
            assert ports(members) == [81, 82]
            assert told
        other = found_in(registry.url, image={"consul": {"service": "image", "tag": "v2"}})
        async with membership(tmp_path, other) as (members, _):
            assert ports(members) == [], "another definition: these may be somebody else's"

    run(main())


def test_what_was_remembered_survives_a_start_that_got_no_answer(tmp_path: Path) -> None:
    async def main() -> None:
        registry = Registry(81)
        async with registry:
            settings = found_in(registry.url)
            async with membership(tmp_path, settings) as (members, _):
                await members.first_answers(5)
        for _ in range(2):
            async with membership(tmp_path, settings) as (members, told):
                await until(lambda told=told: told, "told")
                assert ports(members) == [81]

    run(main())


def test_an_unusable_file_of_remembered_addresses_starts_with_none(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "addresses.json").write_bytes(b"\x00" * 100)
        registry = Registry(81)
        async with registry, membership(tmp_path, found_in(registry.url)) as (members, _):
            assert ports(members) == []
            await members.first_answers(5)
            assert ports(members) == [81]

    run(main())


def test_a_reload_leaves_alone_what_it_does_not_change(tmp_path: Path) -> None:
    async def main() -> None:
        registry = Registry(81)
        async with registry, membership(tmp_path, found_in(registry.url)) as (members, _):
            await members.first_answers(5)
            await until(lambda: len(registry.asked) == 2, "waiting for a change")
            members.configure(found_in(registry.url, auth="http://h:1"))
            members.configure(found_in(registry.url))
            assert ports(members) == [81]
            registry.tell(82)
            await until(lambda: ports(members) == [82], "the same question is answered", 2)
            await until(lambda: len(registry.asked) == 3, "and goes on")
            assert registry.asked == [0, 7, 8]

    run(main())


def test_a_new_source_takes_over_when_it_answers_and_not_before(tmp_path: Path) -> None:
    async def main() -> None:
        registry = Registry(81)
        await registry.start()
        await registry.stop()  # its port is known, nobody listens yet
        fixed = config(upstreams={"image": "http://127.0.0.1:80"})
        async with membership(tmp_path, fixed) as (members, _):
            members.configure(found_in(registry.url))
            await until(lambda: row(members)["fault"], "the registry is down")
            assert ports(members) == [80]
        async with membership(tmp_path, found_in(registry.url)) as (members, _):
            assert ports(members) == [], "what the file said is not what the registry said"
        async with membership(tmp_path, fixed) as (members, _):
            members.configure(found_in(registry.url))
            await until(lambda: row(members)["fault"], "the registry is still down")
            assert ports(members) == [80]
            await registry.start()
            await until(lambda: ports(members) == [81], "it has answered")
            members.configure(fixed)
            assert ports(members) == [80]
            registry.tell(83)
            await registry.stop()
            assert ports(members) == [80], "the registry is not asked any more"

    run(main())


def test_an_upstream_that_is_taken_out_of_the_file_is_not_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        registry = Registry(81)
        async with registry, membership(tmp_path) as (members, told):
            members.configure(found_in(registry.url, auth="http://h:1"))
            await members.first_answers(5)
            await until(lambda: len(registry.asked) == 2, "waiting for a change")
            told.clear()
            members.configure(config(upstreams={"auth": "http://h:1"}))
            registry.tell(82)
            await asyncio.sleep(0.05)
            assert list(members.members()) == ["auth"]
            assert not told
            assert len(registry.asked) == 2

    run(main())


def test_an_upstream_that_a_refused_file_took_out_comes_back_as_it_was(tmp_path: Path) -> None:
    async def main() -> None:
        registry = Registry(81, 82)
        async with registry, membership(tmp_path) as (members, _):
            served = found_in(registry.url, auth="http://h:1")
            members.configure(served)
            await members.first_answers(5)
            members.drain("image", "127.0.0.1:82", True)
            registry.tell(81, 82, body="the registry has gone mad")
            members.configure(config(upstreams={"auth": "http://h:1"}))
            await asyncio.sleep(0)
            members.configure(served)
            assert [m.draining for m in members.members()["image"]] == [False, True]
            registry.tell(82, 83)
            await until(lambda: ports(members) == [82, 83], "it is asked again", 7)
            members.configure(config(upstreams={"auth": "http://h:1"}))
            members.configure(config(upstreams={"auth": "http://h:1"}))
            members.configure(served)
            assert not any(m.draining for m in members.members()["image"]), "long gone: a stranger"

    run(main())


class Quiet:
    """A source whose answers a test hands in."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[Any] = asyncio.Queue()

    async def ask(self) -> Any:
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_registry_that_has_just_come_back_is_not_believed_that_nobody_is_there() -> None:
    async def main() -> None:
        source, learned = Quiet(), list[Any]()
        loop = asyncio.get_running_loop()
        watch = Watch("image", source, (), learned.append, loop.time, settle_s=0.3)
        try:
            for answer in ((1,), OSError("a fault of its own"), (), ()):
                source.answers.put_nowait(answer)
            await until(lambda: watch.fault, "failing")
            await until(lambda: watch.fault is None, "back")
            assert learned == [(1,)]
            took = await until(lambda: learned == [(1,), ()], "believed in the end")
            assert 0.2 < took < 2
            # Had somebody turned up meanwhile, the doubt would have been for nothing.
            for answer in ((2,), OSError("again"), (), (3,)):
                source.answers.put_nowait(answer)
            await until(lambda: learned[-1] == (3,), "somebody is there")
            await asyncio.sleep(0.4)
            assert learned == [(1,), (), (2,), (3,)]
            # And that it fails again says that its word was worth nothing.
            for answer in (OSError("again"), (), OSError("and again")):
                source.answers.put_nowait(answer)
            await until(lambda: watch.fault and "and again" in watch.fault, "failing")
            await asyncio.sleep(0.4)
            assert learned[-1] == (3,)
            source.answers.put_nowait((4,))
            await until(lambda: learned[-1] == (4,), "back")
            await asyncio.sleep(0.4)
            # Long after an outage the registry's word is taken at once.
            source.answers.put_nowait(())
            assert await until(lambda: learned[-1] == (), "nobody") < 0.2
        finally:
            watch.stop()
            await asyncio.gather(watch.task, return_exceptions=True)

    run(main())


def test_a_fault_of_the_proxys_own_does_not_end_the_watch(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        source, learned = Quiet(), list[Any]()
        watch = Watch("image", source, (), learned.append, asyncio.get_running_loop().time)
        source.answers.put_nowait(ZeroDivisionError())
        source.answers.put_nowait((1,))
        await until(lambda: learned, "it goes on")
        assert "ZeroDivisionError" in caplog.text
        watch.stop()
        await asyncio.gather(watch.task, return_exceptions=True)

    run(main())


# --- DNS


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


# --- a real Consul agent


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Consul]:
    with consul_agent(tmp_path) as running:
        yield running


class Instance:
    """A service process that answers its health check; Consul asks once a second."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().split(" port ")[1].split()[0])

    def register(self, agent: Consul) -> None:
        check = {"HTTP": f"http://127.0.0.1:{self.port}/", "Interval": "1s", "Timeout": "1s"}
        agent.register("image", self.port, Check=check)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()


@pytest.fixture
def instances() -> Iterator[Callable[[], Instance]]:
    running: list[Instance] = []

    def start() -> Instance:
        running.append(Instance())
        return running[-1]

    yield start
    for each in running:
        each.kill()


def in_thread(work: Callable[[], object]) -> asyncio.Future[object]:
    """Do something that blocks, so that the loop notices as it would beside another process."""
    return asyncio.get_running_loop().run_in_executor(None, work)


@pytest.mark.services
def test_an_instance_that_deregisters_leaves_in_under_two_seconds(
    tmp_path: Path, agent: Consul
) -> None:
    async def main() -> None:
        for port in (81, 82):
            agent.register("image", port)
        async with membership(tmp_path, found_in(agent.url)) as (members, _):
            await members.first_answers(5)
            assert ports(members) == [81, 82]
            await asyncio.sleep(0.2)  # the question is waiting at the agent
            leaving = in_thread(lambda: agent.deregister("image-81"))
            took = await until(lambda: ports(members) == [82], "it has left")
            await leaving
            log.info("left after deregistering: %.3f s", took)
            assert took < 2
            joining = in_thread(lambda: agent.register("image", 83))
            took = await until(lambda: ports(members) == [82, 83], "another has come")
            await joining
            assert took < 2

    run(main())


@pytest.mark.services
def test_an_instance_that_is_killed_leaves_in_under_three_seconds(
    tmp_path: Path, agent: Consul, instances: Callable[[], Instance]
) -> None:
    async def main() -> None:
        first, second = instances(), instances()
        for each in (first, second):
            each.register(agent)
        both = sorted([first.port, second.port])
        async with membership(tmp_path, found_in(agent.url)) as (members, _):
            await until(lambda: ports(members) == both, "both pass their checks", 20)
            await asyncio.sleep(0.2)
            first.kill()
            took = await until(lambda: ports(members) == [second.port], "the dead one has left")
            log.info("left after kill: %.3f s", took)
            assert took < 3

    run(main())


@pytest.mark.services
def test_while_the_agent_is_down_the_last_known_stay_and_after_it_changes_are_seen_again(
    tmp_path: Path, agent: Consul
) -> None:
    async def main() -> None:
        agent.register("image", 81)
        async with membership(tmp_path, found_in(agent.url)) as (members, _):
            await members.first_answers(5)
            agent.kill()
            took = await until(lambda: row(members)["fault"], "noticed", 3)
            await asyncio.sleep(1)
            assert ports(members) == [81]
            await in_thread(agent.start)
            await until(lambda: row(members)["failing_s"] is None, "it answers", 10)
            assert ports(members) == [81], "an agent that has just come back knows nobody yet"
            registering = in_thread(lambda: agent.register("image", 82))
            took = await until(lambda: ports(members) == [82], "seen again", 10)
            await registering
            log.info("seen after outage: %.3f s", took)
            assert took < 7, "the longest pause between questions and the question itself"

    run(main())


@pytest.mark.services
def test_a_restart_of_the_proxy_while_the_agent_is_down_serves_the_last_known(
    tmp_path: Path, agent: Consul
) -> None:
    async def main() -> None:
        agent.register("image", 81, Tags=["v1"])
        agent.register("image", 82, Tags=["v2"])
        tagged = {"consul": {"service": "image", "tag": "v2"}}
        settings = found_in(agent.url, image=tagged)
        async with membership(tmp_path, settings) as (members, _):
            await members.first_answers(5)
            assert ports(members) == [82], "the tag chooses"
            await until((tmp_path / "addresses.json").exists, "remembered")
        agent.kill()
        async with membership(tmp_path, settings) as (members, _):
            await members.first_answers(0.3)
            assert ports(members) == [82]

    run(main())


@pytest.mark.services
def test_a_token_that_may_not_read_leaves_the_last_known_and_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hcl = """acl { enabled = true default_policy = "deny" tokens { master = "%(token)s" } }"""
    token = "5b4bd0b8-3c2d-4a0e-9d94-0d9a4f6f5a10"

    async def main(agent: Consul) -> None:
        agent.register("image", 81)
        settings = config(
            upstreams={"image": {"consul": {"service": "image"}}},
            consul={"url": agent.url, "token_env": "CONSUL_TOKEN"},
        )
        monkeypatch.setenv("CONSUL_TOKEN", token)
        async with membership(tmp_path, settings) as (members, _):
            await members.first_answers(5)
            assert ports(members) == [81]
        monkeypatch.setenv("CONSUL_TOKEN", "00000000-0000-4000-8000-00000000dead")
        async with membership(tmp_path, settings) as (members, _):
            await until(lambda: row(members)["fault"], "refused")
            assert "403" in row(members)["fault"]
            assert ports(members) == [81]
            assert token not in json.dumps(members.status())
            assert token not in (tmp_path / "addresses.json").read_text()

    with consul_agent(tmp_path, hcl=hcl % {"token": token}, token=token) as agent:
        run(main(agent))


@pytest.mark.services
def test_the_registry_double_says_what_the_real_one_says(agent: Consul) -> None:
    agent.register("image", 81)
    answer = agent.ask("GET", "/v1/health/service/image?passing=1&index=0&wait=20000ms")
    assert int(answer.headers["X-Consul-Index"]) > 0
    real, double = answer.json()[0], instance(81)
    for part in ("Node", "Service"):
        assert {"Address"} <= real[part].keys() & double[part].keys()
    assert (real["Service"]["Address"], real["Service"]["Port"]) == ("127.0.0.1", 81)
