"""Kills one part of the carved-up blog after the other, and starts it again as a supervisor would.

What depends on a part may fail while it is down, and only that; docs/steps.md has the list. A part
is started with its own command and environment, by the launcher that its step has used.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from scripts.processes import ComponentFailedError
from strangler_proxy.steps.parts import launch

DOWN_S = 1.5
BACK_WITHIN_S = 30.0
POLL_S = 0.05

POSTS = frozenset({"posts-list", "post-read", "post-create", "post-change", "post-page"})
COMMENTS = frozenset({"comments-list", "comment-create"})
ACCOUNTS = frozenset({"register", "login", "verify", "user-read", "user-change"})


@dataclass(frozen=True, slots=True)
class Victim:
    """A part by its name, the requests that may fail without it, and how it shows that it is back.

    `probe` is a path and the status that a living service answers; None: it has no address. Those
    who depend on it may leave it alone for `well_s` more: requests under way end, breakers close.
    """

    name: str
    depend: frozenset[str] = frozenset()
    probe: tuple[str, int] | None = None
    well_s: float = 1.0


VICTIMS = (
    # A post with a picture needs the image service; the others do not.
    Victim(
        "image",
        frozenset({"image", "upload", "post-create"}),
        (f"/images/{'0' * 32}.jpg", 404),
        well_s=6.0,
    ),
    # The composed page shows an unknown author meanwhile.
    Victim("auth", ACCOUNTS | {"post-page"}, ("/users/2000000000", 404)),
    Victim("posts", POSTS | COMMENTS, ("/posts/2000000000", 404)),
    Victim(
        "payment",
        frozenset({"payment-create", "payments-list", "payment-read"}),
        ("/payments", 401),
    ),
    *map(Victim, ("posts-consumer", "email-worker", "payment-reconciler")),
    *map(Victim, ("auth-mover", "posts-mover", "payment-mover")),
)


@dataclass(frozen=True, slots=True)
class Death:
    """One part killed: failures that it explains, and seconds from its start until it was back."""

    name: str
    excused: int
    back_s: float


def killed(run_dir: Path, victim: Victim) -> tuple[list[str], dict[str, str], str]:
    """Kill the part with all its processes; its command, environment and folder.

    Raises ComponentFailedError when it does not run.
    """
    try:
        pid = int((run_dir / f"{victim.name}.pid").read_text("ascii").split()[0])
        process = Path("/proc", str(pid))
        command = (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        pairs = (process / "environ").read_bytes().rstrip(b"\0").split(b"\0")
        folder = os.readlink(process / "cwd")
        os.killpg(pid, signal.SIGKILL)
    except (OSError, ValueError) as fault:
        raise ComponentFailedError(f"{victim.name} does not run: {fault}") from fault
    environ = dict(os.fsdecode(pair).partition("=")[::2] for pair in pairs)
    return [os.fsdecode(word) for word in command], environ, folder


def start_again(run_dir: Path, victim: Victim, how: tuple[list[str], dict[str, str], str]) -> None:
    """Start it as it was. Raises ComponentFailedError."""
    command, environ, folder = how
    paths = [str(run_dir / f"{victim.name}.{kind}") for kind in ("lock", "pid", "log")]
    launcher = [sys.executable, "-P", launch.__file__, *paths, "--", *command]
    deadline = time.monotonic() + BACK_WITHIN_S
    # What the dead one has left behind holds its lock for a moment.
    while subprocess.run(launcher, env=environ, cwd=folder, check=False).returncode:
        if time.monotonic() > deadline:
            raise ComponentFailedError(f"{victim.name} could not be started again")
        time.sleep(POLL_S)


def is_back(run_dir: Path, victim: Victim, front: str) -> bool:
    """Whether it answers through the proxy, or lives."""
    if victim.probe is None:
        pid, started = (run_dir / f"{victim.name}.pid").read_text("ascii").split()
        return launch.start_time(int(pid)) == started
    path, status = victim.probe
    try:
        return requests.get(front + path, timeout=5).status_code == status
    except requests.RequestException:
        return False


def wait_for(true: Callable[[], bool], meanwhile: Callable[[], None], what: str) -> float:
    """Wait until it is true; how long that took. Raises ComponentFailedError."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > BACK_WITHIN_S:
            raise ComponentFailedError(f"{what} within {BACK_WITHIN_S:g} s")
        meanwhile()
        time.sleep(POLL_S)
    return time.monotonic() - began
