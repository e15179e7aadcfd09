"""Cut-overs by the commands that people run: `strangler data start`, `cutover` and `rollback`.

`start` goes on beside the others, stands aside for them and takes up what one has left that was
killed. Slower than the library's movers, for every cut-over is a process of its own.
"""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from scripts.processes import ROOT, last_lines
from scripts.torturing.mover import MOVE, ROUTE, TABLES
from scripts.torturing.movers import pause
from scripts.torturing.site import EndedByItself, Part, Site
from strangler_proxy.handover.ownership import ownership_path, read_ownership
from strangler_proxy.handover.way import Owner

START_S = 60.0
ENDED_S = 90.0
SETTLING = "a cut-over was begun and did not end"
ENDINGS = (0, 1, 3, 4, 5)
"""Exit codes of a command while things die around it; 2 would be a mistake of its user."""
_YAML = f"""\
moves:
  - name: {MOVE}
    source_env: TORTURE_SOURCE
    target_env: TORTURE_TARGET
    routes: [{ROUTE}]
    tables: [{", ".join(f"{{table: {table}}}" for table in TABLES)}]
"""


class CommandMovers:
    """See movers.Movers. `which` is 0 for `start`, 1 for the command that is running."""

    def __init__(self, site: Site, pause_s: float) -> None:
        self._site, self._pause_s = site, pause_s
        self._moves = site.folder / "moves.yaml"
        self._moves.write_text(_YAML, "utf-8")
        self._environment = {"TORTURE_SOURCE": site.urls[0], "TORTURE_TARGET": site.urls[1]}
        self._start = Part("start", self._command("start"), site.folder, self._environment)
        self._running: subprocess.Popen[str] | None = None
        self._order, self._stop = "", threading.Event()
        self._outcomes: list[dict[str, Any]] = []
        self._wrong: list[str] = []
        self._thread = threading.Thread(target=self._go_on, name="commands")
        site.stack.callback(self.end)

    def start(self) -> None:
        """See Movers."""
        self._start.start()
        deadline = time.monotonic() + START_S
        while "caught up" not in self._start.log.read_text("utf-8"):
            self._start.check()
            if time.monotonic() > deadline:
                raise EndedByItself(f"start: not caught up:\n{last_lines(self._start.log)}")
            time.sleep(0.05)
        self._thread.start()

    def kill(self, which: int) -> None:
        """See Movers."""
        pid = self._pid(which)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill_behind(self, step: str) -> None:
        """See Movers."""
        self._order = step

    def pause(self, which: int, seconds: float) -> None:
        """See Movers."""
        pid = self._pid(which)
        if pid is not None:
            pause(pid, seconds)

    def check(self) -> None:
        """See Movers. `start` may end when a database is away at its start."""
        if self._wrong:
            raise EndedByItself(self._wrong[0])
        process = self._start.process
        status = None if process is None else process.poll()
        if status is None:
            return
        if status != -signal.SIGKILL and status not in ENDINGS:
            raise EndedByItself(f"start ended with {status}:\n{last_lines(self._start.log)}")
        self._start.start()

    def cut_overs(self) -> int:
        """See Movers."""
        return read_ownership(ownership_path(self._moves, MOVE)).cut_overs

    def outcomes(self) -> Sequence[dict[str, Any]]:
        """See Movers."""
        settled = self._start.log.read_text("utf-8").count(SETTLING)
        resumed = {"event": "resumed", "at": -math.inf}  # it does not tell when
        return [*self._outcomes, *[resumed] * settled]

    def end(self) -> None:
        """See Movers."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(ENDED_S)
        self._start.end()

    def _go_on(self) -> None:
        while not self._stop.wait(self._pause_s):
            owner = read_ownership(ownership_path(self._moves, MOVE)).owner
            name = "cutover" if owner == Owner.CONTROL else "rollback"
            self._carry_out(self._command(name, "--execute", "--despite-writers"))

    def _carry_out(self, command: tuple[str, ...]) -> None:
        self._running = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **self._environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        with self._running as running:
            lines = list(self._followed(running))
        if running.returncode != -signal.SIGKILL and running.returncode not in ENDINGS:
            self._wrong.append(f"{command[4]} ended with {running.returncode}: {''.join(lines)}")

    def _followed(self, running: subprocess.Popen[str]) -> Iterator[str]:
        for line in running.stdout or ():
            yield line
            try:
                told = json.loads(line)
            except ValueError:
                continue  # killed as it wrote, or no JSON: then its exit code counts
            if told.get("event") == "step" and told["step"] == self._order:
                self._order = ""
                killed = {"event": "killed", "at": time.monotonic(), "step": told["step"]}
                self._outcomes.append(killed)
                running.kill()
            self._outcomes += ({"at": time.monotonic(), **each} for each in _outcome(told))

    def _pid(self, which: int) -> int | None:
        running = self._running
        if which and running is not None and running.poll() is None:
            return running.pid
        return None if self._start.process is None else self._start.process.pid

    def _command(self, name: str, *arguments: str) -> tuple[str, ...]:
        begin = (sys.executable, "-m", "strangler_proxy", "data", name, MOVE)
        files = ("-m", str(self._moves), "-c", str(self._site.config))
        return (*begin, *files, "--json", *arguments)


def _outcome(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a line says of how a cut-over went, as the library's movers tell it."""
    match told:
        case {"event": "said", "text": str(text)} if SETTLING in text:
            yield {"event": "resumed"}
        case {"event": "end", "already": False, "hold_ms": float(milliseconds)}:
            yield {**told, "event": "ended", "hold_s": milliseconds / 1000}
        case {"problems": [*problems]} if problems:
            yield {"event": "fault", "text": str(problems[0])[:400]}
