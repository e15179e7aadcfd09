"""A free port, and a service part over a real process that no test leaves behind."""

import socket
import sys
import time
from pathlib import Path

import pytest

from strangler_proxy.steps.http import health_of
from strangler_proxy.steps.pace import RealPace
from strangler_proxy.steps.parts import StartProcess

SERVICE = Path(__file__).with_name("service.py")


@pytest.fixture
def port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def pace():
    return RealPace()


class HurriedPace:
    """Real time in which a bound of a minute is over after three seconds."""

    HASTE = 20

    def now(self):
        return time.monotonic() * self.HASTE

    def wait(self, seconds):
        time.sleep(seconds / self.HASTE)


@pytest.fixture
def hurried():
    return HurriedPace()


@pytest.fixture
def part(tmp_path, port, pace):
    """Makes the part; more arguments go to the service."""

    def make(*arguments, command=None, **more):
        given = (sys.executable, str(SERVICE), str(port), str(tmp_path / "seams.json"), *arguments)
        return StartProcess(
            "small",
            command or given,
            tmp_path / "run",
            health_of(f"http://127.0.0.1:{port}", "/health", "small"),
            cwd=tmp_path,
            **more,
        )

    yield make
    make(stop_within_s=0.5).undo({}, pace)
