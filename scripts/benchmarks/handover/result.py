"""What a run of `bench handover` found out, as values: the JSON is these, field by field."""

from dataclasses import asdict, dataclass, field
from typing import Any

from scripts.benchmarks.figures import Spread, spread
from scripts.benchmarks.handover.contenders import Contender
from scripts.benchmarks.handover.targets import Evidence, judge
from scripts.benchmarks.machine import Machine
from scripts.benchmarks.targets import Judgement

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy, proven equal. `cpu_s` and `peak_bytes` are of the copying command's processes."""

    seconds: float
    cpu_s: float
    peak_bytes: int


@dataclass(slots=True)
class CopyResult:
    """All copies of one contender; what is absent has its reason in `absent` or `faults`."""

    contender: Contender
    version: str | None = None
    absent: str | None = None
    faults: list[str] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    tenth: Copy | None = None  # a tenth of the rows, to see whether memory grows

    def seconds(self) -> Spread | None:
        """Over all rounds."""
        return spread(copy.seconds for copy in self.copies) if self.copies else None

    def peak_bytes(self) -> int | None:
        """The highest of all rounds."""
        return max((copy.peak_bytes for copy in self.copies), default=None)


@dataclass(slots=True)
class HandoverResult:
    """A whole run."""

    started_at: str
    rows: int
    rounds: int
    machine: Machine
    server: str
    results: list[CopyResult]

    def judgements(self) -> list[Judgement]:
        """Every target with its verdict."""
        medians = {one.contender.name: one.seconds() for one in self.results}
        memory = {
            one.contender.name: (one.tenth.peak_bytes, peak)
            for one in self.results
            if one.tenth and (peak := one.peak_bytes())
        }
        seconds = {name: found.median for name, found in medians.items() if found}
        return judge(Evidence(frozenset(medians), seconds, memory))

    def as_json(self) -> dict[str, Any]:
        """The run with every copy, of JSON's types alone."""
        return {
            "schema": SCHEMA,
            "started_at": self.started_at,
            "rows": self.rows,
            "rounds": self.rounds,
            "machine": asdict(self.machine),
            "server": self.server,
            "contenders": {
                one.contender.name: {
                    "title": one.contender.title,
                    "origin": one.contender.origin,
                    "version": one.version,
                    "absent": one.absent,
                    "faults": one.faults,
                    "copies": [asdict(copy) for copy in one.copies],
                    "tenth": asdict(one.tenth) if one.tenth else None,
                }
                for one in self.results
            },
            "targets": [asdict(judgement) for judgement in self.judgements()],
        }
