"""One run: every peer is started and checked, then measured in interleaved rounds.

A peer that fails is left out of what follows, and its result says why; the others go on.
"""

import http.client
import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripts.benchmarks import machine, measure
from scripts.benchmarks.client import WrongAnswerError
from scripts.benchmarks.measure import Bench, Running
from scripts.benchmarks.peers import Peer
from scripts.benchmarks.processes import NotReadyError
from scripts.benchmarks.result import PeerResult, Plan, Result
from scripts.benchmarks.upstream import LARGE_ANSWER, LARGE_REQUEST, SMALL, upstreams
from scripts.benchmarks.wrk import Workload, WrkError

# What a peer may do wrong, or what may become of it: its own result tells, and the run goes on.
FAULTS = (NotReadyError, WrongAnswerError, WrkError, OSError, http.client.HTTPException)
_SPARE_FILES = 500

Progress = Callable[[str], None]


def run(peers: list[Peer], plan: Plan, nginx: str, progress: Progress) -> Result:
    """Measure the peers; raises NotReadyError if the upstreams that they share do not start.

    Confines this process, and with it all load, to the cores that are not the proxy's.
    """
    proxy_core, load_cores = measure.choose_cores()
    result = Result(
        started_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        plan=plan,
        machine=machine.describe(),
        proxy_core=proxy_core,
        load_cores=sorted(load_cores),
        peers=[PeerResult(peer) for peer in peers],
    )
    os.sched_setaffinity(0, load_cores)
    files = raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="strangler-bench-") as name:
        folder = Path(name)
        with upstreams(nginx, load_cores, folder) as ports:
            bench = Bench(proxy_core, load_cores, ports, folder)
            runner = _Runner(result, bench, progress)
            runner.measure_loads()
            for one in result.peers:
                runner.measure_idle(one, files)
                runner.measure_upload(one)
    return result


def raise_file_limit() -> int:
    """Let this process, and what it starts, open as many files as the system permits."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@contextmanager
def noting(one: PeerResult, what: str) -> Iterator[None]:
    """Keep a peer's fault in its result, and go on."""
    try:
        yield
    except FAULTS as fault:
        one.faults.append(f"{what}: {fault}")


def start(
    one: PeerResult, started: ExitStack, bench: Bench, progress: Progress, *, forwards: bool = True
) -> Running | None:
    """Start a peer until `started` ends; None, with the reason in its result, when it cannot be."""
    progress(f"starting {one.peer.title}")
    executable = one.peer.find()
    if executable is None:
        one.absent = "not installed"
        return None
    with noting(one, "start"):
        one.version = one.peer.version(executable)
        return started.enter_context(
            measure.running(one.peer, executable, bench, forwards=forwards)
        )
    return None


@dataclass(frozen=True, slots=True)
class _Runner:
    result: Result
    bench: Bench
    progress: Progress

    def measure_loads(self) -> None:
        """All peers run at once; those not under load are idle."""
        plan = self.result.plan
        with ExitStack() as started:
            subjects = [
                (one, subject)
                for one in self.result.peers
                if (subject := start(one, started, self.bench, self.progress)) is not None
            ]
            for one, subject in subjects:
                with noting(one, "warm-up"):
                    self.progress(f"warming up {one.peer.title}")
                    measure.measure_round(subject, SMALL, plan.warm_up_seconds, self.bench)
            self._rounds(subjects, SMALL, plan.rounds, plan.seconds)
            for workload in (LARGE_ANSWER, LARGE_REQUEST):
                self._rounds(subjects, workload, plan.large_rounds, plan.large_seconds)

    def _rounds(
        self,
        subjects: list[tuple[PeerResult, Running]],
        workload: Workload,
        count: int,
        seconds: int,
    ) -> None:
        """A B C, A B C: whatever disturbs the machine for a while disturbs all of them."""
        for number in range(1, count + 1):
            for one, subject in subjects:
                rounds = one.rounds.setdefault(workload.name, [])
                if len(rounds) < number - 1:
                    continue  # it failed in an earlier round
                self.progress(f"{workload.title}, round {number} of {count}: {one.peer.title}")
                with noting(one, f"{workload.title}, round {number}"):
                    rounds.append(measure.measure_round(subject, workload, seconds, self.bench))

    def measure_idle(self, one: PeerResult, files: int) -> None:
        """The idle crowd, in front of a fresh process."""
        executable = one.peer.find()
        if one.absent or executable is None:
            return
        self.progress(f"{measure.IDLE_CONNECTIONS} idle connections: {one.peer.title}")
        with noting(one, "idle connections"):
            if files < measure.IDLE_CONNECTIONS + _SPARE_FILES:
                raise OSError(f"a process may open only {files} files here; raise ulimit -n")
            with measure.running(one.peer, executable, self.bench) as subject:
                one.idle = measure.measure_idle(subject)

    def measure_upload(self, one: PeerResult) -> None:
        """The long upload, through a fresh process."""
        executable = one.peer.find()
        if one.absent or executable is None:
            return
        self.progress(f"upload of 1 GiB: {one.peer.title}")
        with (
            noting(one, "upload of 1 GiB"),
            measure.running(one.peer, executable, self.bench) as subject,
        ):
            one.upload = measure.measure_upload(subject)
