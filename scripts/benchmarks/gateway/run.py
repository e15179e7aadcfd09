"""One run: every contender is started, then measured in rounds of all duties of all contenders.

Before each figure stands the proof that the duty is done. A contender that fails in one duty is
left out of its further rounds, and its result says why; its other duties go on.
"""

import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripts.benchmarks import machine, measure
from scripts.benchmarks.gateway import tokens
from scripts.benchmarks.gateway.contenders import Contender
from scripts.benchmarks.gateway.duties import DUTIES, Duty
from scripts.benchmarks.gateway.result import GatewayResult
from scripts.benchmarks.measure import Bench, Running
from scripts.benchmarks.result import PeerResult, Plan
from scripts.benchmarks.run import Progress, noting, raise_file_limit, start
from scripts.benchmarks.upstream import upstreams
from scripts.benchmarks.wrk import Workload


def run(
    contenders: list[Contender], duties: list[Duty], plan: Plan, nginx: str, progress: Progress
) -> GatewayResult:
    """Measure the contenders; raises NotReadyError if the upstreams that they share do not start.

    Confines this process, and with it all load, to the cores that are not the proxy's.
    """
    proxy_core, load_cores = measure.choose_cores()
    result = GatewayResult(
        started_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        plan=plan,
        machine=machine.describe(),
        proxy_core=proxy_core,
        load_cores=sorted(load_cores),
        peers=[PeerResult(contender.peer) for contender in contenders],
        asked={
            contender.peer.name: tuple(duty.name for duty in duties if duty in contender.duties)
            for contender in contenders
        },
    )
    os.sched_setaffinity(0, load_cores)
    raise_file_limit()
    loads = {duty.name: duty.load() for duty in DUTIES if duty in duties}
    result.titles = {name: load.title for name, load in loads.items()}
    files = {tokens.JWKS_FILE: tokens.issuer_jwks()}
    with tempfile.TemporaryDirectory(prefix="strangler-bench-") as name, ExitStack() as started:
        folder = Path(name)
        ports = started.enter_context(upstreams(nginx, load_cores, folder, files))
        runner = _Runner(plan, Bench(proxy_core, load_cores, ports, folder), progress)
        runner.measure(runner.start_all(contenders, result.peers, loads, started))
    return result


@dataclass(frozen=True, slots=True)
class _Case:
    """A contender at one of its duties."""

    duty: Duty
    load: Workload
    one: PeerResult
    subject: Running


@dataclass(frozen=True, slots=True)
class _Runner:
    plan: Plan
    bench: Bench
    progress: Progress

    def start_all(
        self,
        contenders: list[Contender],
        results: list[PeerResult],
        loads: dict[str, Workload],
        started: ExitStack,
    ) -> list[_Case]:
        """All run at once; those not under load are idle. Their cases, in the order of a turn."""
        subjects = [
            start(one, started, self.bench, self.progress, forwards=contender.forwards)
            for contender, one in zip(contenders, results, strict=True)
        ]
        return [
            _Case(duty, loads[duty.name], one, subject)
            for duty in DUTIES
            if duty.name in loads
            for _ in range(duty.times)
            for contender, one, subject in zip(contenders, results, subjects, strict=True)
            if subject is not None and duty in contender.duties
        ]

    def measure(self, cases: list[_Case]) -> None:
        """A B C, A B C: whatever disturbs the machine for a while disturbs all of them."""
        failed: set[tuple[str, str]] = set()
        for number in range(self.plan.rounds + 1):  # the first is to warm up
            for case in cases:
                place = case.one.peer.name, case.duty.name
                if place not in failed and not self._measured(case, number):
                    failed.add(place)

    def _measured(self, case: _Case, number: int) -> bool:
        one, what = case.one, f"{case.load.title}, {f'round {number}' if number else 'warm-up'}"
        self.progress(f"{what} of {self.plan.rounds}: {one.peer.title}")
        with noting(one, what):
            case.duty.prove(case.subject.port)
            seconds = self.plan.seconds if number else self.plan.warm_up_seconds
            figures = measure.measure_round(case.subject, case.load, seconds, self.bench)
            if number:
                one.rounds.setdefault(case.duty.name, []).append(figures)
            return True
        return False
