"""What every stand-in has in common: its arguments, its ready line, its way to end."""

import argparse
import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stand-in listens and where it keeps what it has acknowledged; port 0 is any free."""

    port: int
    directory: Path


def read_place(description: str, arguments: Sequence[str] | None = None) -> Place:
    """Read `--port` and `--dir`, and make the directory."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, required=True, help="loopback port; 0 takes a free one")
    parser.add_argument("--dir", type=Path, required=True, help="where to keep what it is given")
    given = parser.parse_args(arguments)
    given.dir.mkdir(parents=True, exist_ok=True)
    return Place(given.port, given.dir)


def announce(name: str, url: str) -> None:
    """Print the line that a starter may wait for: `<name> ready at <url>`."""
    print(f"{name} ready at {url}", flush=True)


async def until_told_to_stop() -> None:
    """Return at the first SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


def write_durably(path: Path, content: bytes) -> None:
    """Put a file in place whole: after this returns, it survives a crash of the machine."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
