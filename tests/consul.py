"""A real Consul agent for tests marked `services`; REQUIRE_SERVICES=1 makes a missing one fail.

It keeps everything in memory, listens on loopback alone, and can be killed, stopped in its tracks
and started again on the same ports, where it remembers nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from scripts.processes import free_ports, last_lines

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
ATTEMPTS = 3
PORTS = ("http", "serf_lan", "serf_wan", "server")


def consul_binary() -> str:
    """The `consul` on PATH or in the cache folder that scripts/lib/consul.sh fills, or the test
    ends here."""
    folder = os.environ.get("STRANGLER_CONSUL") or Path.home() / ".cache/strangler/consul"
    for candidate in ("consul", Path(folder) / "consul"):
        if found := shutil.which(candidate):
            return found
    told = f"no consul on PATH or in {folder}; scripts/lib/consul.sh puts one there"
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(f"REQUIRE_SERVICES=1, but there is {told}")
    pytest.skip(f"there is {told}")


@contextmanager
def consul_agent(folder: Path, *, hcl: str = "", token: str = "") -> Iterator[Consul]:
    """A running agent that leads itself, with its log in `folder`; stopped at the end.

    `hcl` is more configuration; `token` goes with each of the helper's own requests.
    """
    binary = consul_binary()
    for attempt in range(ATTEMPTS):
        agent = Consul(binary, folder, dict(zip(PORTS, free_ports(4), strict=True)), hcl, token)
        try:
            agent.start()
            break
        except AssertionError:
            # Someone may have taken one of the ports between the looking and the start.
            if attempt == ATTEMPTS - 1:
                raise
    try:
        yield agent
    finally:
        agent.stop()


class Consul:
    """One agent, on the same ports however often it is started. `url` is its HTTP address."""

    def __init__(
        self, binary: str, folder: Path, ports: Mapping[str, int], hcl: str, token: str
    ) -> None:
        self.ports = dict(ports)
        self.url = f"http://127.0.0.1:{ports['http']}"
        self.log = folder / f"consul-{ports['http']}.log"
        self._token = token
        self._process: subprocess.Popen[bytes] | None = None
        # With a data folder even a development agent would remember its services.
        self._command = [binary, "agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1"]
        self._command += ["-node=test", "-dns-port=-1", "-grpc-port=-1"]
        self._command += [f"-{name.replace('_', '-')}-port={port}" for name, port in ports.items()]
        self._command += ["-log-level=debug", "-hcl=disable_update_check = true"]
        self._command += [f"-hcl={hcl}"] if hcl else []

    def start(self) -> None:
        """Start it, and wait until it leads and knows itself."""
        assert self._process is None, "this agent runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._leads():
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.kill()
                what = "ended" if ended else f"does not lead after {START_TIMEOUT_S:g} s"
                raise AssertionError(f"consul {what}:\n{last_lines(self.log)}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it in order, or by force when that takes too long; it may have ended before."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL: its connections break, and what was registered is forgotten."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None

    def restart(self) -> None:
        """Kill it and start it again on the same ports, with nothing registered."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections are accepted by the kernel, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: go on after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def register(self, name: str, port: int, *, id_: str = "", **more: Any) -> None:
        """Register a service on 127.0.0.1; `more` are further keys, such as Check or Tags."""
        service = {"ID": id_ or f"{name}-{port}", "Name": name, "Address": "127.0.0.1"}
        self.ask("PUT", "/v1/agent/service/register", json={**service, "Port": port, **more})

    def deregister(self, id_: str) -> None:
        """Take a service out by its id."""
        self.ask("PUT", f"/v1/agent/service/deregister/{id_}")

    def registered(self, name: str) -> dict[str, dict[str, Any]]:
        """What the agent holds under this name, by id, healthy or not."""
        services = self.ask("GET", "/v1/agent/services").json()
        return {key: each for key, each in services.items() if each["Service"] == name}

    def healthy(self, name: str) -> list[tuple[str, int]]:
        """The addresses whose checks all pass, sorted: what discovery gives to a client."""
        found = self.ask("GET", f"/v1/health/service/{name}?passing=1").json()
        services = [each["Service"] for each in found]
        return sorted((each["Address"], each["Port"]) for each in services)

    def ask(self, method: str, path: str, *, json: object = None) -> requests.Response:
        """One request of the HTTP API; raises requests' errors, for 4xx and 5xx too."""
        with requests.Session() as session:
            session.trust_env = False
            headers = {"X-Consul-Token": self._token} if self._token else {}
            answer = session.request(
                method, self.url + path, json=json, headers=headers, timeout=5.0
            )
        answer.raise_for_status()
        return answer

    def _leads(self) -> bool:
        try:
            if not self.ask("GET", "/v1/status/leader").json():
                return False
            # A leader that has not yet written itself down answers nothing else of use.
            return bool(self.healthy("consul"))
        except requests.RequestException:
            return False
