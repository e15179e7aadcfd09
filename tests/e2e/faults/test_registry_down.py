"""A real Consul: an instance dies, then the registry, then the proxy is restarted without it."""

from __future__ import annotations

from time import monotonic
from typing import Any

import pytest

from tests.consul import Consul, consul_agent
from tests.e2e.faults.conftest import Stage, Times, within
from tests.e2e.faults.load import assert_posts_once, assert_untouched, statuses
from tests.e2e.faults.running import Service
from tests.e2e.proxy.conftest import Served
from tests.wire_tools.proxy import until

pytestmark = pytest.mark.services

LEAVES_S = 2.0
"""From the moment when Consul knows it until the proxy asks nobody there any more."""
CHECK_S = 1.0
CHECK_TIMEOUT_S = 0.5
BACK_S = 5.0
"""A registry that has been away is asked again after this time at most."""
SLACK_S = 1.0


def register(consul: Consul, service: Service) -> None:
    check = {
        "HTTP": f"{service.url}/health",
        "Interval": f"{CHECK_S:g}s",
        "Timeout": f"{CHECK_TIMEOUT_S * 1000:g}ms",
        "Status": "passing",
    }
    consul.register("main", service.port, Check=check)


def found_by(stage: Stage, consul: Consul) -> Served:
    return stage.proxy(
        consul={"url": consul.url},
        upstreams={"main": {"consul": {"service": "main"}, "eject": {"failures": 100000}}},
        routes=[{"name": "main", "match": "/main", "control": "main", "timeout_s": 1}],
    )


def addresses(served: Served) -> set[str]:
    row: dict[str, Any] = next(r for r in served.running.upstreams() if r["name"] == "main")
    return {each["address"] for each in row["addresses"]}


@pytest.mark.parametrize("fault_is", ["killed", "stopped"])
def test_dead_instance_leaves_as_soon_as_consul_knows(
    stage: Stage, times: Times, fault_is: str
) -> None:
    with consul_agent(stage.folder) as consul:
        one, two, three = (stage.service(name) for name in ("one", "two", "three"))
        for each in (one, two, three):
            register(consul, each)
        until(lambda: len(consul.healthy("main")) == 3, "Consul knows them")
        served = found_by(stage, consul)
        load, calm = stage.load(served, "/main"), stage.calm(served)
        load.settle(30)
        fault = two.kill() if fault_is == "killed" else two.pause()
        gone = monotonic()
        until(lambda: len(consul.healthy("main")) == 2, "Consul has noticed", 10)
        known = monotonic()
        until(lambda: two.address not in addresses(served), "the proxy has noticed", 10)
        left = monotonic()
        load.wait(lambda seen: seen.good, left, 40)
        heal = two.start() if fault_is == "killed" else two.resume()
        good = load.wait(lambda seen: seen.by == "two", heal, 5)
        load.stop()

        bad = [seen for seen in load.seen if not seen.good]
        if fault_is == "killed":  # nothing was sent: it goes to another address
            assert [seen for seen in bad if seen.method == "GET" or seen.at > gone] == []
        else:  # sent, and nobody knows with what effect
            assert statuses(bad) <= {504}
            assert [seen for seen in bad if seen.at > left] == []
        assert_posts_once(load, one, two, three)
        assert_untouched(calm)
        times.tell(
            failed=len(bad),
            consul_knows_s=within(known, CHECK_S + CHECK_TIMEOUT_S + SLACK_S, of=fault),
            then_left_s=within(left, LEAVES_S, of=known),
            used_again_s=within(good.end, CHECK_S + LEAVES_S, of=heal),
        )


def test_last_known_addresses_serve_while_consul_is_down_even_after_a_restart(
    stage: Stage, times: Times
) -> None:
    with consul_agent(stage.folder) as consul:
        one, two = stage.service("one"), stage.service("two")
        for each in (one, two):
            register(consul, each)
        until(lambda: len(consul.healthy("main")) == 2, "Consul knows them")
        served = found_by(stage, consul)
        load, calm = stage.load(served, "/main"), stage.calm(served)
        load.settle()
        consul.kill()
        until(lambda: "serve on" in served.log.read_text(), "the proxy has noticed", 10)
        load.settle(60)
        assert {seen.by for seen in load.seen[-40:]} == {"one", "two"}
        for each in (load, calm):
            each.stop()
            assert statuses(each.seen) == {200}
        assert_untouched(calm)
        served.stop()

        began = monotonic()
        again = stage.served(served.path)
        started_s = within(monotonic(), 15, of=began)
        after, calm = stage.load(again, "/main"), stage.calm(again)
        after.settle(60)
        assert {seen.by for seen in after.seen} == {"one", "two"}

        three = stage.service("three")
        consul.start()
        heal = monotonic()
        for each in (three, one, two):  # it has forgotten all; services register themselves again
            register(consul, each)
        good = after.wait(lambda seen: seen.by == "three", heal, 1, BACK_S + LEAVES_S + SLACK_S)
        until(lambda: len(addresses(again)) == 3, "all are there")
        after.settle(60)
        after.stop()
        assert statuses(after.seen) == {200}
        assert_posts_once(load, one, two)
        assert_posts_once(after, one, two, three)
        assert_untouched(calm)
        times.tell(
            failed=0,
            restarted_without_it_s=started_s,
            new_instance_used_s=within(good.end, BACK_S + LEAVES_S + SLACK_S, of=heal),
        )
