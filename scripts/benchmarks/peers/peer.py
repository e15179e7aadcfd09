"""What the benchmark needs to know of a peer, and the rules that hold for all of them.

Each peer runs one worker on one core, keeps connections to its upstreams alive, writes no access
log, and routes three prefixes: /posts and /images to the pages, /upload to the sink. It adds
X-Forwarded-For and, where it can, X-Request-ID. Otherwise its defaults stand, unless a comment
beside its template says why not.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PEERS_VENV = ROOT / ".venv-bench"
IDLE_S = 600  # how long a peer keeps an idle connection: longer than any run
SHORT_S = 20

APT = "apt-get install"
PIP = "scripts/bench proxy --install"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a peer listens and forwards to (loopback ports), and the folder that is its own.

    The candidate is asked in `bench gateway` alone.
    """

    listen: int
    pages: int
    sink: int
    folder: Path
    candidate: int = 0


@dataclass(frozen=True, slots=True)
class Launch:
    """How a peer is started, once its files are written."""

    argv: list[str]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Peer:
    """A proxy to be measured."""

    name: str
    title: str
    install: str  # the command that brings it
    find: Callable[[], str | None]  # its executable, or None when it is not here
    version: Callable[[str], str]
    launch: Callable[[str, Site], Launch]  # writes what it needs into site.folder
    makes_request_id: bool = True
    note: str = ""


def on_path(command: str) -> Callable[[], str | None]:
    """Find a system command; Debian keeps daemons outside of ordinary users' PATH."""
    return lambda: shutil.which(command, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def in_peers_venv(command: str) -> Callable[[], str | None]:
    """Find a command that `--install` put into the peers' own environment."""
    return lambda: shutil.which(command, path=str(PEERS_VENV / "bin"))


def printed_version(*arguments: str) -> Callable[[str], str]:
    """Ask an executable, and take the first thing that looks like a version from its answer."""

    def ask(executable: str) -> str:
        try:
            answer = subprocess.run(
                [executable, *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=SHORT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as fault:
            return f"unknown ({fault})"
        return version_in(answer.stdout)

    return ask


def version_in(text: str) -> str:
    """The first dotted version in a text, with what Debian or a developer appended to it."""
    found = re.search(r"\d+\.\d+(\.\d+)?[\w.+~-]*", text)
    return found.group().rstrip(".") if found else "unknown"
