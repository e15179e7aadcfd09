"""What a run of `bench gateway` found out: `bench proxy`'s result with duties for workloads."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from scripts.benchmarks.figures import Summary
from scripts.benchmarks.gateway.targets import ALONE, Evidence, Place, judge
from scripts.benchmarks.result import PeerResult, Result
from scripts.benchmarks.targets import STRANGLER, Judgement


@dataclass(slots=True)
class GatewayResult(Result):
    """A whole run. `titles` are those of the duties, by name, in the order of the tables."""

    titles: dict[str, str] = field(default_factory=dict)
    asked: dict[str, tuple[str, ...]] = field(default_factory=dict)  # duties by contender

    def rows(self) -> Iterator[tuple[str, PeerResult, Summary | None]]:
        """Duty by duty who was to do it, and the figures if there are any."""
        for duty in self.titles:
            for one in self.peers:
                if duty in self.asked[one.peer.name]:
                    yield duty, one, one.summary(duty)

    def own_cost_us(self, duty: str, one: PeerResult) -> float | None:
        """CPU time per request that a duty adds to the same contender's plain route, in µs."""
        cost, plain = one.cpu_us(duty), one.cpu_us("plain")
        return None if cost is None or plain is None or duty == "plain" else cost - plain

    def judgements(self) -> list[Judgement]:
        """Every target with its verdict."""
        asked = [(name, duty) for name, duties in self.asked.items() for duty in duties]
        return judge(Evidence(frozenset(asked), dict(self._figures()), self._errors()))

    def _figures(self) -> Iterator[tuple[Place, float]]:
        for duty, one, summary in self.rows():
            if summary is not None:
                yield (one.peer.name, duty), summary.cpu_us_per_request.median

    def _errors(self) -> int | None:
        ours = [one for name in (ALONE, STRANGLER) if (one := self.of(name)) and not one.absent]
        return sum(one.failures() for one in ours) if ours else None
