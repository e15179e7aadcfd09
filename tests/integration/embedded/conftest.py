import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.processes import Fleet, Program, Running, free_ports

Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a stand-in on a free port, as a process of its own."""
    with contextlib.ExitStack() as stack:

        def start_one(name: str, directory: Path, *, health: str | None = None) -> Running:
            (port,) = free_ports(1)
            module = f"scripts.embedded.{name}"
            command = (
                sys.executable, "-m", module, "--port", str(port), "--dir", str(directory),
            )  # fmt: skip
            environment = {"S3_BUCKET": "pictures", "PYTHONPATH": os.getcwd()}
            # A fleet each, so that a test may kill one and start another.
            fleet = stack.enter_context(Fleet(tmp_path / "log"))
            return fleet.start(Program(name, command, environment, port, health))

        yield start_one
