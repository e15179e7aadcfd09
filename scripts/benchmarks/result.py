"""What a run found out, as values: the JSON is these, field by field."""

from dataclasses import asdict, dataclass, field
from typing import Any

from scripts.benchmarks.figures import Round, Summary, summarise
from scripts.benchmarks.machine import Machine
from scripts.benchmarks.measure import Idle, LongUpload
from scripts.benchmarks.peers import Peer
from scripts.benchmarks.targets import STRANGLER, Evidence, Judgement, judge
from scripts.benchmarks.upstream import SMALL

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int = 5
    seconds: int = 4
    large_rounds: int = 3
    large_seconds: int = 2
    warm_up_seconds: int = 1

    @staticmethod
    def quick() -> "Plan":
        """Enough to see a change of a tenth, not to publish."""
        return Plan(rounds=3, seconds=1, large_rounds=2, large_seconds=1)


@dataclass(slots=True)
class PeerResult:
    """All that was measured of one peer; what is absent has its reason in `absent` or `faults`."""

    peer: Peer
    version: str | None = None
    absent: str | None = None  # why it could not be measured at all
    faults: list[str] = field(default_factory=list)  # what failed while it was measured
    rounds: dict[str, list[Round]] = field(default_factory=dict)
    idle: Idle | None = None
    upload: LongUpload | None = None

    def summary(self, workload: str) -> Summary | None:
        """The figures of one workload over its rounds, if there was any."""
        rounds = self.rounds.get(workload)
        return summarise(rounds) if rounds else None

    def cpu_us(self, workload: str = SMALL.name) -> float | None:
        """Median CPU time per request, in µs."""
        summary = self.summary(workload)
        return summary.cpu_us_per_request.median if summary else None

    def failures(self) -> int:
        """Failed requests of all workloads; a measurement that broke off counts as one."""
        return len(self.faults) + sum(r.errors for rounds in self.rounds.values() for r in rounds)


@dataclass(slots=True)
class Result:
    """A whole run."""

    started_at: str  # RFC 3339, UTC
    plan: Plan
    machine: Machine
    proxy_core: int
    load_cores: list[int]
    peers: list[PeerResult]

    def of(self, name: str) -> PeerResult | None:
        """One peer's result, if it was asked for."""
        return next((one for one in self.peers if one.peer.name == name), None)

    def judgements(self) -> list[Judgement]:
        """Every target with its verdict."""
        ours = self.of(STRANGLER)
        measured = {one.peer.name: one.cpu_us() for one in self.peers}
        return judge(
            Evidence(
                asked=frozenset(measured),
                cpu_us={name: cpu for name, cpu in measured.items() if cpu is not None},
                upload_peak_bytes=ours.upload.peak_bytes if ours and ours.upload else None,
                errors=ours.failures() if ours and not ours.absent else None,
            )
        )

    def as_json(self) -> dict[str, Any]:
        """The run with every raw round, of JSON's types alone."""
        return {
            "schema": SCHEMA,
            "started_at": self.started_at,
            "plan": asdict(self.plan),
            "machine": asdict(self.machine),
            "proxy_core": self.proxy_core,
            "load_cores": self.load_cores,
            "peers": {one.peer.name: _peer_as_json(one) for one in self.peers},
            "targets": [asdict(judgement) for judgement in self.judgements()],
        }


def _peer_as_json(one: PeerResult) -> dict[str, Any]:
    return {
        "title": one.peer.title,
        "version": one.version,
        "absent": one.absent,
        "install": one.peer.install if one.absent else None,
        "note": one.peer.note,
        "faults": one.faults,
        "workloads": {
            name: {"summary": asdict(summarise(rounds)), "rounds": [asdict(r) for r in rounds]}
            for name, rounds in one.rounds.items()
        },
        "idle": asdict(one.idle) if one.idle else None,
        "upload": asdict(one.upload) if one.upload else None,
    }
