"""Who carries out the cut-overs: two processes of `mover`, of which one is at work."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from scripts.torturing.mover import MOVE, Plan, first_way, install
from scripts.torturing.site import Part, Site
from strangler_proxy.handover.ownership import ownership_path, read_ownership


class Movers(Protocol):
    """Cut-overs one after another, by whichever means."""

    def start(self) -> None:
        """Begin."""

    def kill(self, which: int) -> None:
        """SIGKILL to who is at work, and another is started."""

    def kill_behind(self, step: str) -> None:
        """SIGKILL once this step has ended, and another is started."""

    def pause(self, which: int, seconds: float) -> None:
        """SIGSTOP, and after a while SIGCONT."""

    def check(self) -> None:
        """Start anew who has died as told. EndedByItself when one has died otherwise."""

    def cut_overs(self) -> int:
        """How many were done."""

    def outcomes(self) -> Sequence[dict[str, Any]]:
        """What was told of each."""

    def end(self) -> None:
        """Between two."""


class LibraryMovers:
    """Two long-lived processes: as many cut-overs as a machine can do."""

    def __init__(self, site: Site, pause_s: float) -> None:
        self._site, folder = site, site.folder
        self._outcomes, self._orders = folder / "outcomes.jsonl", folder / "orders"
        self._active, plan = folder / "active", folder / "plan.json"
        Plan(
            *site.urls,
            config=str(site.config),
            outcomes=str(self._outcomes),
            orders=str(self._orders),
            active=str(self._active),
            pause_s=pause_s,
        ).keep(plan)
        command = (sys.executable, "-m", "scripts.torturing.mover", str(plan))
        self._parts = [Part(f"mover-{number}", command, folder) for number in (1, 2)]
        for part in self._parts:
            site.stack.callback(part.end)

    def start(self) -> None:
        """See Movers."""
        install(first_way(*self._site.urls))
        for part in self._parts:
            part.start()

    def kill(self, which: int) -> None:
        """See Movers."""
        at_work = self._at_work()
        if at_work is not None:
            at_work.kill()
            at_work.start()

    def kill_behind(self, step: str) -> None:
        """See Movers."""
        self._orders.write_text(step, "ascii")

    def pause(self, which: int, seconds: float) -> None:
        """See Movers."""
        at_work = self._at_work()
        if at_work is not None and at_work.process is not None:
            pause(at_work.process.pid, seconds)

    def check(self) -> None:
        """See Movers."""
        for part in self._parts:
            part.check()
            if part.process is not None and part.process.poll() is not None:
                part.start()

    def cut_overs(self) -> int:
        """See Movers."""
        return read_ownership(ownership_path(self._site.config, MOVE)).cut_overs

    def outcomes(self) -> Sequence[dict[str, Any]]:
        """See Movers."""
        return read_outcomes(self._outcomes)

    def end(self) -> None:
        """See Movers."""
        for part in self._parts:
            part.end(60.0)

    def _at_work(self) -> Part | None:
        with suppress(FileNotFoundError, ValueError):
            pid = int(self._active.read_text("ascii"))
            for part in self._parts:
                if part.process is not None and part.process.pid == pid:
                    return part
        return None


def read_outcomes(path: Path) -> list[dict[str, Any]]:
    """Whole lines only: whoever wrote the last may have been killed."""
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def pause(pid: int, seconds: float, stop: threading.Event | None = None) -> None:
    """SIGSTOP, and after a while SIGCONT."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        try:
            stop.wait(seconds) if stop else time.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
