"""Servers of service.py as a test holds them: started, told, killed, stopped, started again."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.wire_tools.ports import free_port
from tests.wire_tools.proxy import until

PROGRAM = Path(__file__).with_name("service.py")
START_S = 15.0


def state_of(pid: int) -> str:
    """A process' state as the kernel names it: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


class Service:
    """One server, on the same port and with the same journal however often it is started."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.port = free_port()
        self._journal = folder / f"{name}.journal"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> float:
        """Start it; the moment (monotonic seconds) from which it surely listens."""
        assert self._process is None, "it runs already"
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), self.name, str(self.port), str(self._journal)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._hear("ready")
        return time.monotonic()

    def behave(self, *words: object) -> float:
        """Have it answer differently; the moment from which it surely does."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)).encode() + b"\n")
        self._process.stdin.flush()
        self._hear("done")
        return time.monotonic()

    def _hear(self, word: str) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], START_S)
        assert readable, f"{self.name} says nothing"
        assert self._process.stdout.readline().decode().strip() == word

    def kill(self) -> float:
        """SIGKILL; the moment just before."""
        process, self._process = self._process, None
        now = time.monotonic()
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()
        return now

    def signal(self, number: int) -> None:
        """Send a signal, and wait for nothing."""
        assert self._process is not None
        self._process.send_signal(number)

    def pause(self) -> float:
        """SIGSTOP; the moment just before. Connections are still accepted, by the kernel."""
        assert self._process is not None
        now, pid = time.monotonic(), self._process.pid
        self._process.send_signal(signal.SIGSTOP)
        until(lambda: state_of(pid) == "T", f"{self.name} is stopped")
        return now

    def resume(self) -> float:
        """SIGCONT; the moment just after."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        return time.monotonic()

    def journal(self) -> list[tuple[str, int]]:
        """Method and number of every whole request that it has ever had."""
        rows = (line.split() for line in self._journal.read_text().splitlines())
        return [(method, int(number)) for method, number in rows]

    def publish(self, keys: str) -> None:
        """Give this out at /keys from now on."""
        new = self._journal.with_suffix(".new")
        new.write_text(keys)
        new.replace(self._journal.with_suffix(".keys"))


def kill_together(*services: Service) -> float:
    """SIGKILL all before anybody can notice the first; the moment just before."""
    now = time.monotonic()
    for service in services:
        service.signal(signal.SIGKILL)
    for service in services:
        service.kill()
    return now
