"""What a service tells Consul of itself, and the environment it has it from."""

from __future__ import annotations

import logging
import socket
import threading
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from extracted.chassis.registrar import Registrar
from extracted.chassis.registration import Registration
from extracted.chassis.serving import gunicorn_settings
from extracted.chassis.settings import SettingsError
from scripts.processes import free_ports
from tests.wire_tools.proxy import until

CONSUL = {"CONSUL_URL": "http://127.0.0.1:8500/"}


def registration(bind: str = "127.0.0.1:3003", **variables: str) -> Registration:
    made = Registration.from_environ({**CONSUL, **variables}, "image", bind, ["v1"])
    assert made is not None
    return made


def test_without_consul_nothing_is_hooked_into_the_server() -> None:
    assert Registration.from_environ({"ADVERTISE": "nonsense"}, "image", "0.0.0.0:1") is None
    assert "when_ready" not in gunicorn_settings({}, "image", "127.0.0.1:3003")
    hooked = gunicorn_settings(CONSUL, "image", "127.0.0.1:3003")
    assert {"when_ready", "on_exit"} <= hooked.keys()


def test_it_registers_its_address_its_tags_and_its_check() -> None:
    body = registration().body()
    assert (body["ID"], body["Name"]) == ("image-127.0.0.1-3003", "image")
    assert (body["Address"], body["Port"], body["Tags"]) == ("127.0.0.1", 3003, ["v1"])
    assert body["Check"]["HTTP"] == "http://127.0.0.1:3003/health"
    assert (body["Check"]["Interval"], body["Check"]["Timeout"]) == ("1s", "1s")
    assert body["Check"]["DeregisterCriticalServiceAfter"] == "1m"


def test_what_is_advertised_goes_before_what_is_bound() -> None:
    body = registration("0.0.0.0:3003", BIND="0.0.0.0:9", ADVERTISE="image-7.internal:80").body()
    assert (body["Address"], body["Port"]) == ("image-7.internal", 80)


def test_an_ipv6_address_is_bracketed_only_in_the_url() -> None:
    body = registration("[::1]:3003").body()
    assert (body["Address"], body["Check"]["HTTP"]) == ("::1", "http://[::1]:3003/health")


@pytest.mark.parametrize(
    "bind",
    [
        "0.0.0.0:1",
        "[::]:1",
        "unix:/x.sock",
        "3003",
        ":3003",
        "127.0.0.1",
        "h:0",
        "h:x",
        "h:99999",
        "a:1,b:2",
        "me@h:1",
        "h:1/p",
        "[::1",
    ],
)
def test_an_address_that_nobody_can_call_is_refused_with_the_way_out(bind: str) -> None:
    with pytest.raises(SettingsError, match=r"image service.*\n.*BIND is .*set ADVERTISE"):
        registration(bind)


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        registration(CONSUL_URL="consul:8500", ADVERTISE="everywhere")
    assert len(caught.value.problems) == 2


class Told(logging.Handler):
    """Keeps what a registrar says."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def run(url: str, **more: str) -> tuple[Registrar, list[str]]:
    told = Told()
    log = logging.Logger("registrar")
    log.addHandler(told)
    registrar = Registrar(registration(CONSUL_URL=url, **more), log, heartbeat_s=0.01)
    registrar.start()
    return registrar, told.lines


def test_an_outage_is_told_once_and_its_end_once() -> None:
    (port,) = free_ports(1)
    registrar, told = run(f"http://127.0.0.1:{port}")
    until(lambda: told, "the outage is told")
    with HTTPServer(port=port) as consul:
        path = "/v1/agent/service"
        consul.expect_request(f"{path}/image-127.0.0.1-3003").respond_with_data("{}")
        consul.expect_request(f"{path}/deregister/image-127.0.0.1-3003").respond_with_data("")
        until(lambda: len(told) == 2, "the end is told")
        registrar.stop()
    assert "could not be told of image-127.0.0.1-3003: [Errno 111]" in told[0]
    assert "answers again" in told[1]
    assert told[2:] == ["Taken out of Consul: image-127.0.0.1-3003"]


def test_a_refusal_of_consul_is_told_and_its_secret_is_not(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/agent/service/register").respond_with_data("ACL says no", 403)
    httpserver.expect_request("/v1/agent/service/image-127.0.0.1-3003").respond_with_data("", 404)
    registrar, told = run(httpserver.url_for(""), CONSUL_HTTP_TOKEN="t0ken")
    until(lambda: len(httpserver.log) > 6, "it goes on trying")
    registrar.stop()
    assert {request.headers["X-Consul-Token"] for request, _ in httpserver.log} == {"t0ken"}
    assert len(told) == 1
    assert "403: ACL says no" in told[0]
    assert "t0ken" not in told[0]


def test_one_that_stays_for_another_master_is_not_taken_out(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/agent/service/image-127.0.0.1-3003").respond_with_data("{}")
    made = registration(CONSUL_URL=httpserver.url_for(""))
    registrar = Registrar(made, logging.getLogger("registrar"), stays=lambda: True)
    registrar.start()
    until(lambda: httpserver.log, "it has asked")
    registrar.stop()
    assert [request.method for request, _ in httpserver.log] == ["GET"]


def test_the_chassis_of_every_service_registers_it() -> None:
    configurations = list(Path(__file__).parents[3].glob("extracted/*/gunicorn.conf.py"))
    assert configurations
    for each in configurations:
        assert f'served(os.environ, "{each.parent.name}"' in each.read_text()


def test_ending_never_waits_long_for_a_silent_consul() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        registrar = Registrar(registration(CONSUL_URL=url), logging.getLogger("registrar"))
        registrar.start()
        over = threading.Event()
        stopping = threading.Thread(target=lambda: (registrar.stop(), over.set()))
        stopping.start()
        assert over.wait(4)
        stopping.join()
