"""A service run as a detached process: it outlives the step, and can be found again and stopped."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from strangler_proxy.steps.gates.health import Checkup
from strangler_proxy.steps.pace import wait_until
from strangler_proxy.steps.parts import launch
from strangler_proxy.steps.parts.session import (
    having_open,
    leads_still,
    signal_group,
    signal_process,
)
from strangler_proxy.steps.step import Facts, Pace, PartFailed

LAUNCH_WITHIN_S = 15.0
LIVES_S = 1.0  # who has nobody to ask is well when it has lived so long


@dataclass(frozen=True)
class StartProcess:
    """Starts `command` in a session of its own, its output in a log file, and waits for health.

    `run_dir` gets NAME.pid, NAME.lock and NAME.log. `environment` is added to the step's own, of
    which the variables `withheld` are not passed on.
    `health` answers None when the service is well. Undo sends SIGTERM, and SIGKILL to the whole
    group if it is still there after `stop_within_s`, which must be longer than the service takes
    to finish the requests it has (gunicorn: `graceful_timeout`, 30 s by default). What a service
    that died has left behind is ended like it, by undo and before a new one is started. A service
    that ran already when the part first came to it is left alone, and so is one that `stays`:
    others may have come to need it. Without `health` it is well while it lives.
    """

    service: str
    command: tuple[str, ...]
    run_dir: Path
    health: Checkup | None
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    withheld: frozenset[str] = frozenset()
    healthy_within_s: float = 30.0
    stop_within_s: float = 45.0
    stays: bool = False
    family: str | None = None

    @property
    def name(self) -> str:
        """The part's name in the ledger."""
        return f"start {self.service}"

    @property
    def forward(self) -> str:
        """What executing does, for the plan."""
        return f"start the {self.service} service: {' '.join(self.command)}"

    @property
    def back(self) -> str:
        """What undoing does, for the plan."""
        return f"{'leave' if self.stays else 'stop'} the {self.service} service"

    @property
    def log(self) -> Path:
        """Where the service's output goes."""
        return self.run_dir / f"{self.service}.log"

    def prepare(self) -> Facts:
        """Note where the service will be found, and whether it is somebody else's already."""
        if self.health is not None and self.health() is None and not self._running():
            raise PartFailed(
                f"a {self.service} service answers already that this step did not start; "
                "stop it, or say with --external that it is run elsewhere"
            )
        return {"pid_file": str(self._path("pid")), "was_running": self.pid() is not None}

    def execute(self, facts: Facts, pace: Pace) -> None:
        """Start it unless it runs already, and wait until it is well."""
        # A launcher that was cut off from its step may be about to write the pid file.
        wait_until(self._clear_who_has_it, LAUNCH_WITHIN_S, pace)
        if self.pid() is None:
            self._end_orphans(pace)
            self._launch()
        wait_until(self._clear_who_has_it, LAUNCH_WITHIN_S, pace)
        well = self.pid() is not None and self._becomes_well(pace)
        if not well or self.pid() is None:
            state = "is running but not well" if self._running() else "ended"
            raise PartFailed(f"the {self.service} service {state}: {self._last_words()}")

    def undo(self, facts: Facts, pace: Pace) -> None:
        """Stop it, whoever of an earlier run started it; nothing to do if it is gone."""
        if not self.stays and not facts.get("was_running"):
            self.stop(pace)

    def stop(self, pace: Pace) -> None:
        """Stop it, if it runs, for good. Raises PartFailed when it does not end."""
        self.end(pace)
        self._path("pid").unlink(missing_ok=True)

    def end(self, pace: Pace) -> bool:
        """End it for now: its pid file stays. Whether it ran. Raises PartFailed, as `stop`."""
        # A launcher that was cut off from its step may be about to write the pid file.
        wait_until(self._clear_who_has_it, LAUNCH_WITHIN_S, pace)
        pid, ran = self.pid(), not self._gone()
        if pid is None:
            self._end_orphans(pace)
        else:
            signal_process(pid, signal.SIGTERM)
            self._see_it_end(pid, pace)
        return ran

    def holds(self, facts: Facts) -> bool:
        """Whether the service is still running."""
        return self.pid() is not None

    def pid(self) -> int | None:
        """The service's process, if the pid file names one that lives and is the same still."""
        pid, started = self._noted()
        return pid if pid is not None and launch.start_time(pid) == started else None

    def _noted(self) -> tuple[int | None, str]:
        """Which process the pid file names, alive or not, and when it was started."""
        try:
            pid, started = self._path("pid").read_text(encoding="ascii").split()
            return int(pid), started
        except (OSError, ValueError):
            return None, ""

    def _running(self) -> bool:
        """Whether the service, or its launcher, or anything it started holds the service's lock."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._path("lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(lock)

    def _end_orphans(self, pace: Pace) -> None:
        """End what a service has left behind that died: it keeps the lock, and perhaps the port."""
        leader = self._dead_leader()
        if leader is not None:
            signal_group(leader, signal.SIGTERM)
        self._see_it_end(leader, pace)

    def _dead_leader(self) -> int | None:
        """Whom the pid file names, if its group lives on without it."""
        leader = self._noted()[0]
        if leader is None or self.pid() is not None:
            return None
        return leader if leads_still(leader, self._path("lock")) else None

    def _see_it_end(self, leader: int | None, pace: Pace) -> None:
        lock = self._path("lock")
        gone = wait_until(self._gone, self.stop_within_s, pace)
        if not gone and leader is not None and (self.pid() or leads_still(leader, lock)):
            signal_group(leader, signal.SIGKILL)
        if not wait_until(self._gone, LAUNCH_WITHIN_S, pace):
            left = ", ".join(map(str, having_open(lock))) or "unknown"
            raise PartFailed(
                f"the {self.service} service does not end: pid {left} has {lock} still; "
                "end that by hand, and run the same command again"
            )

    def _launch(self) -> None:
        paths = [str(self._path(kind)) for kind in ("lock", "pid", "log")]
        # -P: the folder of launch.py must not come before the standard library (Python 3.11).
        own = {name: text for name, text in os.environ.items() if name not in self.withheld}
        launcher = [sys.executable, "-P", launch.__file__, *paths, "--", *self.command]
        try:
            ended = subprocess.run(
                launcher,
                cwd=self.cwd,
                env={**own, **self.environment},
                timeout=LAUNCH_WITHIN_S,
                check=False,
                start_new_session=True,
            )
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise PartFailed(f"the {self.service} service cannot be started: {fault}") from fault
        if ended.returncode not in (0, launch.ALREADY_RUNNING):
            raise PartFailed(f"the launcher of {self.service} ended with {ended.returncode}")

    def _gone(self) -> bool:
        return self.pid() is None and not self._running()

    def _clear_who_has_it(self) -> bool:
        # The launcher hands its lock on: whoever it started and has not ended has it.
        return self.pid() is not None or not self._running() or self._dead_leader() is not None

    def _becomes_well(self, pace: Pace) -> bool:
        health = self.health
        if health is None:
            return not wait_until(lambda: not self._running(), LIVES_S, pace)
        return wait_until(
            lambda: health() is None or not self._running(), self.healthy_within_s, pace
        )

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        said = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        return f"{said.strip()[:200]} (all of it: {self.log})"

    def _path(self, kind: str) -> Path:
        return self.run_dir / f"{self.service}.{kind}"
