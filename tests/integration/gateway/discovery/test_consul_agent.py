"""Members follow a real Consul agent, and how long it takes."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.consul import Consul, consul_agent
from tests.integration.gateway.discovery.members import found_in, membership, ports, row
from tests.integration.gateway.places import instance, run, until
from tests.wire_tools.proxy import config

log = logging.getLogger(__name__)


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
