"""Real `strangler serve` processes on free ports, stopped and checked at the test's end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from strangler_proxy.running import ProxyUnreachable, RunningProxy, Status
from tests.wire_tools.proxy import until
from tests.wire_tools.upstream import Upstream

COMMAND = (sys.executable, "-m", "strangler_proxy")
START_S = 60.0


class Served:
    """One running proxy."""

    def __init__(
        self, path: Path, workers: int, stderr: int = subprocess.STDOUT, **environ: str
    ) -> None:
        self.path = path
        self.running = RunningProxy(path)
        self.log = path.with_suffix(".log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", "-c", str(path), "--workers", str(workers)],
                stdout=log,
                stderr=stderr,
                env={**os.environ, **environ},
            )
        try:
            until(self._answers, f"the proxy serves: {self.log}", START_S)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.port = int(self.status().listen.rpartition(":")[2])

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return bool(self.running.status().workers)
        except ProxyUnreachable:
            return False

    def status(self) -> Status:
        return self.running.status()

    def kill(self) -> None:
        """SIGKILL, which nobody can answer."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM; the proxy drains, and ends well."""
        if self.process.returncode == -signal.SIGKILL:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(START_S) == 0, self.log.read_text()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        assert "Traceback" not in self.log.read_text()


class Bench:
    """Upstreams and proxies of one test."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self.folder = folder
        self.old = stack.enter_context(Upstream())
        self.new = stack.enter_context(Upstream())

    def text(self, listen: str = "127.0.0.1:0") -> str:
        return (
            f"listen: {listen}  # any free port\n"
            "upstreams:\n"
            f"  old: {{url: '{self.old.url}'}}\n"
            f"  new: {{url: '{self.new.url}'}}\n"
            "default: old\n"
            "routes:\n"
            "  # the one that moves\n"
            "  - name: moving\n"
            "    match: /moving\n"
            "    control: old\n"
            "    candidate: new   # the service\n"
            "    serve: control   # who answers\n"
            "  - name: other\n"
            "    match: GET,POST /other\n"
            "    control: old\n"
            "    candidate: new\n"
        )

    def write(self, text: str | None = None) -> Path:
        path = self.folder / "strangler.yaml"
        path.write_text(text or self.text())
        return path

    def serve(
        self, workers: int = 2, text: str | None = None, stderr: int = subprocess.STDOUT
    ) -> Served:
        served = Served(self.write(text), workers, stderr)
        self._stack.callback(served.stop)
        return served


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack, tmp_path)


def strangler(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, env=dict(os.environ)
    )
