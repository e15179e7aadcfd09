"""A private Redis for tests marked `services`, to be killed, stopped and started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.e2e.faults.running import state_of
from tests.wire_tools.ports import free_port
from tests.wire_tools.proxy import until

START_S = 15.0


class RedisServer:
    """One server on one port; it keeps nothing over a restart."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [binary, "--port", str(self.port), "--bind", "127.0.0.1"]
        self._command += ["--save", "", "--appendonly", "no", "--dir", str(folder)]
        self._log = folder / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it; the moment from which it surely answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        until(self._answers, f"Redis answers: {self._log}", START_S)
        return time.monotonic()

    def _answers(self) -> bool:
        try:
            return self.keys() >= 0
        except redis.RedisError:
            return False

    def keys(self) -> int:
        """How many keys it has."""
        with redis.Redis.from_url(self.url, socket_timeout=2) as client:
            return int(client.dbsize())

    def kill(self) -> float:
        """SIGKILL; the moment just before."""
        now, process = time.monotonic(), self._process
        self._process = None
        if process is not None:
            process.kill()
            process.wait()
        return now

    def pause(self) -> float:
        """SIGSTOP; the moment just before."""
        assert self._process is not None
        now, pid = time.monotonic(), self._process.pid
        self._process.send_signal(signal.SIGSTOP)
        until(lambda: state_of(pid) == "T", "Redis is stopped")
        return now

    def resume(self) -> float:
        """SIGCONT; the moment just after."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        return time.monotonic()


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """A running server, or the test ends here."""
    binary = shutil.which("redis-server")
    if binary is None:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail("REQUIRE_SERVICES=1, but there is no redis-server on PATH")
        pytest.skip("there is no redis-server on PATH")
    server = RedisServer(binary, folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
