"""What every fault needs: servers, a proxy with two workers in front, loads, and the times told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.faults.load import Load
from tests.e2e.faults.running import Service
from tests.e2e.proxy.conftest import Served

_told = pytest.StashKey[list[str]]()


class Stage:
    """Servers, proxies and loads of one test; all are stopped at its end, the last first."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self.folder = folder

    def service(self, name: str, *, started: bool = True) -> Service:
        service = Service(name, self.folder)
        self._stack.callback(service.kill)
        if started:
            service.start()
        return service

    def proxy(self, workers: int = 2, **values: Any) -> Served:
        """A proxy; `calm` is one more upstream with a route of its own, and the default."""
        calm = self.service("calm")
        content = {
            "listen": "127.0.0.1:0",
            **values,
            "upstreams": {**values["upstreams"], "calm": {"url": calm.url}},
            "default": "calm",
            "routes": [
                *values["routes"],
                {"name": "calm", "match": "/calm", "control": "calm"},
            ],
        }
        path = self.folder / "strangler.yaml"
        path.write_text(json.dumps(content, indent=1))
        return self.served(path, workers)

    def served(self, path: Path, workers: int = 2) -> Served:
        served = Served(path, workers)
        self._stack.callback(served.stop)
        return served

    def load(self, served: Served, path: str, *lines: str, **values: Any) -> Load:
        return self._stack.enter_context(Load(served.port, path, *lines, **values))

    def calm(self, served: Served) -> Load:
        """A load on the route that no fault concerns."""
        return self.load(served, "/calm", clients=2)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack, tmp_path)


class Times:
    """Measured times of a test, for the report's end and its properties."""

    def __init__(self, request: pytest.FixtureRequest, record: Any) -> None:
        self._name = request.node.name
        self._lines = request.config.stash.setdefault(_told, [])
        self._record = record

    def tell(self, **figures: object) -> None:
        """Write figures down; those in seconds have names that end with _s."""
        rounded = {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in figures.items()
        }
        for name, value in rounded.items():
            self._record(name, value)
        told = ", ".join(f"{name} {value}" for name, value in rounded.items())
        self._lines.append(f"{self._name}: {told}")


@pytest.fixture
def times(request: pytest.FixtureRequest, record_property: Any) -> Times:
    return Times(request, record_property)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    lines = config.stash.get(_told, [])
    if lines:
        terminalreporter.section("faults: what was measured")
        for line in lines:
            terminalreporter.write_line(line)


def within(moment: float, bound_s: float, *, of: float) -> float:
    """The time between two moments, asserted to be within a bound."""
    took_s = moment - of
    assert 0 <= took_s <= bound_s, f"{took_s:.3f} s, the bound is {bound_s:g} s"
    return took_s


def pause_until(moment: float) -> None:
    """Let the time of a fault go on until a moment."""
    while (left_s := moment - time.monotonic()) > 0:
        time.sleep(min(left_s, 0.05))
