"""Starts programs in order, knows when each answers, and stops them in reverse, by process id.

Each program leads a process group of its own, so that Ctrl-C in the terminal reaches only the
starter, which then stops the others in its own order. Every wait is bounded.
"""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import requests

from strangler_proxy.steps.pace import RealPace
from strangler_proxy.steps.parts import StartProcess
from strangler_proxy.steps.parts.launch import start_time
from strangler_proxy.steps.parts.session import signal_group, signal_process
from strangler_proxy.steps.step import PartFailed

ROOT = Path(__file__).resolve().parents[1]
POLL_S = 0.05
LAST_LINES = 15
PORTS = range(18_000, 32_000)
"""Below those of outgoing connections, as Linux gives them."""


class ComponentFailedError(Exception):
    """A program did not start, did not answer in time or ended by itself; says which, and why."""


@dataclass(frozen=True, slots=True)
class Program:
    """A command, its environment, the loopback port that it takes, and how to ask if it is up.

    It runs in the checkout's folder. `health` is a path answered with 2xx over HTTP; without one,
    accepting a connection is enough.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    health: str | None = None
    start_timeout_s: float = 30.0
    stop_timeout_s: float = 15.0

    def answers(self) -> bool:
        """Return whether the program is up now."""
        if self.health is None:
            return port_is_taken(self.port)
        try:
            return requests.get(f"http://127.0.0.1:{self.port}{self.health}", timeout=2).ok
        except requests.RequestException:
            return False


def port_is_taken(port: int) -> bool:
    """Return whether something listens on a loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False


def free_ports(count: int) -> list[int]:
    """Return loopback ports that are free now; another process may still take one first.

    No outgoing connection is given one of them: where a client has been lent a port, nothing can be
    started.
    """
    with contextlib.ExitStack() as sockets:
        found: list[int] = []
        while len(found) < count:
            port = secrets.choice(PORTS)
            try:
                sockets.enter_context(contextlib.closing(socket.socket())).bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
        return found


def last_lines(log: Path, count: int = LAST_LINES) -> str:
    """Return the end of a log, or a word about its absence."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 64 * 1024))
            text = file.read().decode("utf-8", "replace")
    except OSError as reason:
        return f"(no log: {reason})"
    return "\n".join(text.splitlines()[-count:]) or "(the log is empty)"


@dataclass(slots=True)
class Running:
    """A started program and its log."""

    program: Program
    process: subprocess.Popen[bytes]
    log: Path


@dataclass(slots=True)
class Fleet:
    """Programs running together; leaving the `with` block stops them, the last started first."""

    logs: Path
    running: list[Running] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, program: Program) -> Running:
        """Start a program and return when it answers.

        Raises ComponentFailedError when its port is taken, it ends, or `start_timeout_s` is over.
        """
        started = self.launch(program)
        self.await_answer(started)
        return started

    def await_answer(self, started: Running) -> None:
        """Return when a launched program answers; see `start` for what this raises."""
        program = started.program
        deadline = time.monotonic() + program.start_timeout_s
        while not program.answers():
            self.check()
            if time.monotonic() > deadline:
                raise ComponentFailedError(
                    f"{program.name} did not answer on port {program.port} within"
                    f" {program.start_timeout_s:.0f} s.{self._evidence(started)}"
                )
            time.sleep(POLL_S)
        self.check()

    def launch(self, program: Program) -> Running:
        """Start a program without waiting; raises ComponentFailedError when its port is taken."""
        if port_is_taken(program.port):
            raise ComponentFailedError(
                f"{program.name} needs port {program.port} of 127.0.0.1, where another process"
                f" already listens. Stop that process (`ss -ltnp 'sport = :{program.port}'` names"
                " it) or choose another port."
            )
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{program.name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                program.command,
                cwd=ROOT,
                env={**os.environ, **program.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started = Running(program, process, log)
        self.running.append(started)
        return started

    def check(self) -> None:
        """Raise ComponentFailedError when a program has ended by itself."""
        for each in self.running:
            status = each.process.poll()
            if status is not None:
                raise ComponentFailedError(
                    f"{each.program.name} ended by itself with status {status}."
                    f"{self._evidence(each)}"
                )

    def stop_one(self, name: str) -> None:
        """Stop a program that is needed no more."""
        (each,) = (each for each in self.running if each.program.name == name)
        self.running.remove(each)
        stop_group(each.process, each.program.stop_timeout_s)

    def stop(self, said: Callable[[str], None] = lambda _: None) -> None:
        """Stop everything, the last started first; a program that will not end is killed."""
        while self.running:
            each = self.running.pop()
            said(each.program.name)
            stop_group(each.process, each.program.stop_timeout_s)

    def _evidence(self, each: Running) -> str:
        lines = "\n".join(f"    {line}" for line in last_lines(each.log).splitlines())
        return f" The end of {each.log}:\n{lines}"


def stop_group(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Ask the leader of a process group to end, then kill what is left of the group."""
    if process.poll() is None:
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout_s)
    with contextlib.suppress(ProcessLookupError):
        # The group outlives its leader when that left workers behind.
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def stop_known(pid: int, started: str | None, timeout_s: float) -> bool:
    """Stop a process of an earlier run, known by its pid and start time, and then its group.

    Returns False, having done nothing, when that process has ended; the pid may be another's now.
    """
    if started is None or start_time(pid) != started:
        return False
    signal_process(pid, signal.SIGTERM)
    _await_end(pid, started, timeout_s)
    # The group outlives its leader when that left workers behind.
    signal_group(pid, signal.SIGKILL)
    _await_end(pid, started, timeout_s)
    return True


def _await_end(pid: int, started: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while start_time(pid) == started and time.monotonic() < deadline:
        time.sleep(POLL_S)


def stop_services(
    run_dir: Path, timeout_s: float = 15.0, told: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Stop the services that steps have started, by their pid files; the names of those that ran.

    The pid files stay: they say what is wanted again. What does not end is `told`.
    """
    stopped = []
    for name in sorted(each.stem for each in run_dir.glob("*.pid")):
        service = StartProcess(name, (), run_dir, None, run_dir, stop_within_s=timeout_s)
        try:
            if service.end(RealPace()):
                stopped.append(name)
        except PartFailed as failed:
            told(str(failed))
    return stopped
