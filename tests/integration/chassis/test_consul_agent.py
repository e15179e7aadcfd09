"""What other tests stand on: a Consul agent that can be killed, paused and started again."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from scripts.processes import port_is_taken
from tests.consul import consul_agent
from tests.wire_tools.proxy import until

pytestmark = pytest.mark.services


def test_an_agent_registers_and_forgets_when_it_is_restarted(tmp_path: Path) -> None:
    with consul_agent(tmp_path) as consul:
        consul.register("sample", 4001)
        until(lambda: consul.healthy("sample") == [("127.0.0.1", 4001)], "it is found")
        assert list(consul.registered("sample")) == ["sample-4001"]
        consul.restart()
        assert consul.registered("sample") == {}
        consul.register("sample", 4002)
        consul.deregister("sample-4002")
        assert consul.registered("sample") == {}
    assert not port_is_taken(consul.ports["http"])


def test_a_killed_agent_refuses_and_a_paused_one_is_silent(tmp_path: Path) -> None:
    with consul_agent(tmp_path) as consul:
        consul.pause()
        with pytest.raises(requests.Timeout):
            requests.get(f"{consul.url}/v1/status/leader", timeout=0.2)
        consul.resume()
        until(lambda: consul.healthy("consul"), "it goes on")
        consul.kill()
        with pytest.raises(requests.ConnectionError):
            consul.healthy("sample")
