"""A service under gunicorn and a real Consul: killed, stopped, reloaded, upgraded; forgotten."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from scripts.processes import ROOT, free_ports, stop_group
from tests.consul import Consul, consul_agent
from tests.wire_tools.proxy import until

pytestmark = pytest.mark.services

# Not `python -m gunicorn`, which cannot start itself anew for an upgrade.
GUNICORN = str(Path(sys.executable).with_name("gunicorn"))
CONFIGURATION = """
import os
from extracted.chassis.serving import gunicorn_settings
globals().update(gunicorn_settings(os.environ, "sample", "127.0.0.1:1", tags=["green"]))
"""


@dataclass
class Service:
    """One service under gunicorn, in a process group of its own."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def id(self) -> str:
        return f"{self.name}-127.0.0.1-{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    def told(self, words: str) -> int:
        """How many lines of its log have these words."""
        return sum(words in line for line in self.log.read_text().splitlines())

    def answers(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/health", timeout=2).ok
        except requests.RequestException:
            return False

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(15) == 0


class Services:
    """Starts services, and leaves none behind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._configuration = folder / "gunicorn.conf.py"
        self._configuration.write_text(CONFIGURATION)

    def sample(self, consul_url: str, *more: str, **variables: str) -> Service:
        application = "tests.integration.chassis.sample_service:create_app()"
        command = ("-c", str(self._configuration), *more, application)
        return self._start("sample", command, CONSUL_URL=consul_url, **variables)

    def image(self, consul_url: str) -> Service:
        command = ("-c", "extracted/image/gunicorn.conf.py", "extracted.image.app:create_app()")
        needed = {"JWT_SECRET": "x" * 32, "S3_BUCKET": "blog"}
        return self._start("image", command, CONSUL_URL=consul_url, **needed)

    def close(self) -> None:
        self._stack.close()

    def _start(self, name: str, command: tuple[str, ...], **variables: str) -> Service:
        (port,) = free_ports(1)
        log = self._folder / f"{name}-{port}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                (GUNICORN, *command),
                cwd=ROOT,
                env={**os.environ, "BIND": f"127.0.0.1:{port}", "WORKERS": "2", **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._stack.callback(stop_group, process, 5.0)
        service = Service(name, port, process, log)
        until(service.answers, f"{name} answers", 20)
        return service


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    made = Services(tmp_path)
    yield made
    made.close()


@pytest.fixture
def consul(tmp_path: Path) -> Iterator[Consul]:
    with consul_agent(tmp_path) as agent:
        yield agent


def found(consul: Consul, service: Service) -> Service:
    until(lambda: consul.healthy(service.name) == [service.address], "it is found", 20)
    return service


def test_the_image_service_registers_once_for_all_workers_and_leaves(
    services: Services, consul: Consul
) -> None:
    image = found(consul, services.image(consul.url))
    assert list(consul.registered("image")) == [image.id]
    assert image.told("Registered in Consul") == 1
    image.stop()
    assert consul.registered("image") == {}
    assert image.told("Taken out of Consul") == 1


def test_it_leaves_before_its_last_requests_are_finished(
    services: Services, consul: Consul
) -> None:
    sample = found(consul, services.sample(consul.url))
    assert consul.registered("sample")[sample.id]["Tags"] == ["green"]
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(requests.get, f"http://127.0.0.1:{sample.port}/slow", timeout=10)
        until(lambda: sample.told("slow begins"), "the slow request is under way")
        sample.process.terminate()
        until(lambda: consul.healthy("sample") == [], "it has left", 1.0)
        assert not slow.done()
        assert slow.result(10).text == "done"
    assert sample.process.wait(15) == 0


def test_one_that_was_killed_is_given_out_to_nobody_within_three_seconds(
    services: Services, consul: Consul
) -> None:
    sample = found(consul, services.sample(consul.url))
    os.killpg(sample.process.pid, signal.SIGKILL)
    until(lambda: consul.healthy("sample") == [], "it is no longer given out", 3.0)
    assert list(consul.registered("sample")) == [sample.id]  # Consul drops it after a minute


def test_one_that_is_stopped_in_its_tracks_is_left_out_until_it_goes_on(
    services: Services, consul: Consul
) -> None:
    sample = found(consul, services.sample(consul.url))
    os.killpg(sample.process.pid, signal.SIGSTOP)
    until(lambda: consul.healthy("sample") == [], "its check fails", 5.0)
    os.killpg(sample.process.pid, signal.SIGCONT)
    found(consul, sample)


def test_a_consul_that_has_forgotten_it_is_told_again(services: Services, consul: Consul) -> None:
    sample = found(consul, services.sample(consul.url))
    consul.restart()
    found(consul, sample)
    assert sample.told("Registered in Consul") == 2


def test_consul_being_down_stops_nothing_and_is_told_once(
    services: Services, consul: Consul
) -> None:
    consul.kill()
    sample = services.sample(consul.url)
    until(lambda: sample.told("could not be told"), "the outage is told")
    consul.start()
    found(consul, sample)
    assert sample.told("could not be told") == 1
    assert sample.told("answers again") == 1
    consul.pause()
    sample.stop()
    consul.resume()


def test_a_reload_keeps_it_and_an_upgrade_hands_it_over(
    services: Services, consul: Consul, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"
    sample = found(consul, services.sample(consul.url, "--pid", str(pid_file)))
    sample.process.send_signal(signal.SIGHUP)
    until(lambda: sample.told("Booting worker") >= 4, "new workers serve", 15)
    assert list(consul.registered("sample")) == [sample.id]

    sample.process.send_signal(signal.SIGUSR2)
    next_pid = tmp_path / "pid.2"
    until(lambda: next_pid.exists() and sample.told("Booting worker") >= 6, "two masters", 15)
    successor = int(next_pid.read_text())
    sample.stop()
    assert sample.told("Taken out of Consul") == 0
    assert list(consul.registered("sample")) == [sample.id]
    until(lambda: pid_file.exists() and int(pid_file.read_text()) == successor, "it is promoted")
    os.kill(successor, signal.SIGTERM)
    until(lambda: consul.registered("sample") == {}, "the last master takes it out")
    until(lambda: not Path(f"/proc/{successor}").exists(), "it has ended", 15)


ACL = 'acl = { enabled = true, default_policy = "deny", tokens = { master = "m4ster" } }'


def test_where_consul_asks_for_a_token_it_has_one(services: Services, tmp_path: Path) -> None:
    with consul_agent(tmp_path, hcl=ACL, token="m4ster") as consul:
        stranger = services.sample(consul.url)
        until(lambda: stranger.told("it answered 403"), "the refusal is told")
        found(consul, services.sample(consul.url, CONSUL_HTTP_TOKEN="m4ster"))


def test_an_address_that_nobody_can_call_stops_the_start(tmp_path: Path) -> None:
    configuration = tmp_path / "gunicorn.conf.py"
    configuration.write_text(CONFIGURATION)
    application = "tests.integration.chassis.sample_service:create_app()"
    done = subprocess.run(
        (GUNICORN, "-c", str(configuration), application),
        cwd=ROOT,
        env={**os.environ, "BIND": "0.0.0.0:0", "CONSUL_URL": "http://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode != 0
    assert "BIND is '0.0.0.0:0'" in done.stderr
