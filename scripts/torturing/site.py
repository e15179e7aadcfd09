"""Everything that runs in a torture: databases, a service before each, the proxy, who writes.

Each part can be killed and started again at the same address. All of it is stopped by process id.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from scripts.processes import ROOT, free_ports, last_lines, port_is_taken
from scripts.torturing import tables
from scripts.torturing.mover import ROUTE
from scripts.torturing.servers import Server, make_server
from strangler_proxy.running.client import ProxyUnreachable, RunningProxy

CLIENTS = 16
WORKERS = 2
START_S = 60.0
YAML = """\
listen: 127.0.0.1:{port}
upstreams:
  old: {{url: 'http://127.0.0.1:{old}'}}
  new: {{url: 'http://127.0.0.1:{new}'}}
default: old
routes:
  - name: {route}
    match: POST /items
    control: old
    candidate: new
    serve: control
"""


class EndedByItself(Exception):
    """A process that nobody had killed has ended; the message has the end of its log."""


@dataclass(slots=True)
class Part:
    """A process that is started with the same command each time."""

    name: str
    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What it prints, over all its lives."""
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        """A new life."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def end(self, wait_s: float = START_S) -> None:
        """SIGTERM, and SIGKILL when that is not enough."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise EndedByItself(f"{self.name} did not end: {last_lines(self.log)}") from None

    def check(self) -> None:
        """EndedByItself, unless it runs or was killed."""
        status = None if self.process is None else self.process.poll()
        if status is not None and status != -signal.SIGKILL:
            raise EndedByItself(f"{self.name} ended with {status}:\n{last_lines(self.log)}")


@dataclass(slots=True)
class Site:
    """One torture's parts, in a folder; `stack` ends them."""

    folder: Path
    kinds: tuple[str, str]
    seed: int
    rate: float
    bypassing: bool
    stack: ExitStack
    servers: tuple[Server, Server] = field(init=False)
    services: list[Part] = field(init=False, default_factory=list)
    proxy: Part = field(init=False)
    clients: Part = field(init=False)
    bypass: Part = field(init=False)
    port: int = field(init=False)
    _lives: int = 0

    def __post_init__(self) -> None:
        self.history.mkdir()
        servers = []
        for kind, name in zip(self.kinds, ("control", "candidate"), strict=True):
            server = make_server(kind, self.folder, name)
            self.stack.callback(server.end)
            server.start()
            tables.make(server.url)
            servers.append(server)
        self.servers = (servers[0], servers[1])
        self.port, *ports = free_ports(3)
        self.config.write_text(YAML.format(port=self.port, old=ports[0], new=ports[1], route=ROUTE))
        for server, port, name in zip(servers, ports, ("control", "candidate"), strict=True):
            threads = "1" if server.url.startswith("sqlite") else "6"
            self.services.append(
                self._part(f"{name}-service", "service", server.url, port, threads)
            )
        serve = ("-m", "strangler_proxy", "serve", "-c", str(self.config), "--workers", WORKERS)
        self.proxy = self._made("proxy", *serve)
        self.clients = self._part(
            *("clients", "clients", self.port, self.rate, CLIENTS, self.seed),
            self.history / "clients.jsonl",
        )
        self.bypass = self._part("bypass", "bypass")

    @property
    def config(self) -> Path:
        """The proxy's file."""
        return self.folder / "strangler.yaml"

    @property
    def history(self) -> Path:
        """Where clients write down what they do."""
        return self.folder / "history"

    @property
    def urls(self) -> tuple[str, str]:
        """The control's and the candidate's database."""
        return self.servers[0].url, self.servers[1].url

    def start(self) -> None:
        """All but who writes."""
        for side in range(len(self.services)):
            self.start_service(side)
        self.start_proxy()

    def start_writers(self) -> None:
        """Who writes."""
        self.clients.start()
        self.start_bypass()

    def start_service(self, side: int) -> None:
        """Returns when it listens."""
        self.services[side].start()
        self._until(partial(_listens, self.services[side]), self.services[side])

    def start_proxy(self) -> None:
        """Returns when it serves."""
        self.proxy.start()
        self._until(self._serves, self.proxy)

    def start_bypass(self) -> None:
        """With words of a new life's own, since how the last ones ended is not known."""
        if self.bypassing:
            self._lives += 1
            module = ("-m", "scripts.torturing.bypass", f"l{self._lives}", str(self.seed))
            self.bypass.command = (sys.executable, *module, str(self.history), *self.urls)
            self.bypass.start()

    def workers(self) -> list[int]:
        """The proxy's workers."""
        with suppress(ProxyUnreachable):
            return [worker.pid for worker in RunningProxy(self.config).status().workers]
        return []

    def kill_proxy(self) -> None:
        """The supervisor; its workers end by themselves, and are waited for."""
        workers = self.workers()
        self.proxy.kill()
        self._until(lambda: not any(map(_lives, workers)), None)

    def end_writers(self) -> None:
        """Everything that was asked is answered, and nothing more is asked."""
        self.clients.end(60.0)
        self.bypass.end()

    def end_services(self) -> None:
        """Nothing of them is under way any more."""
        for service in self.services:
            service.kill()

    def check(self) -> None:
        """EndedByItself when a part has died that nobody has killed."""
        for part in (*self.services, self.proxy, self.clients, self.bypass):
            part.check()

    def _serves(self) -> bool:
        self.proxy.check()
        return len(self.workers()) == WORKERS

    def _until(self, condition: Callable[[], bool], part: Part | None) -> None:
        deadline = time.monotonic() + START_S
        while not condition():
            if time.monotonic() > deadline:
                raise EndedByItself(part.name if part else "the proxy's workers outlive it")
            time.sleep(0.01)

    def _part(self, name: str, module: str, *arguments: object) -> Part:
        return self._made(name, "-m", f"scripts.torturing.{module}", *arguments)

    def _made(self, name: str, *arguments: object) -> Part:
        part = Part(name, (sys.executable, *map(str, arguments)), self.folder)
        self.stack.callback(part.end)
        return part


def _listens(part: Part) -> bool:
    part.check()
    return port_is_taken(int(part.command[-2]))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pick(pids: list[int], rng: random.Random) -> int | None:
    """One of them."""
    return rng.choice(pids) if pids else None
