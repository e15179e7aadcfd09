"""Runs a torture from the first write to the verdict."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from scripts.torturing import tables
from scripts.torturing.checker import Contents, Violation, check
from scripts.torturing.failures import Trouble, run_out, unexcused, until_settled
from scripts.torturing.history import Kind, Operation, Outcome, append, read
from scripts.torturing.killing import Killing
from scripts.torturing.mover import compare, first_way, settle
from scripts.torturing.movers import LibraryMovers, Movers
from scripts.torturing.nemesis import Death, acts
from scripts.torturing.report import (
    Report,
    counted,
    failed,
    hold_figures,
    longest_without_write_s,
)
from scripts.torturing.site import Site
from scripts.torturing.writing import Writer
from strangler_proxy.handover.cutover import Wishes
from strangler_proxy.handover.way import Owner

TICK_S = 0.05
GIVEN_S = 8.0
AFTER_S = 5.0
"""So long a death excuses failures when all goes on: connections and breakers come back."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is wanted. It ends after so many cut-overs, and after so many seconds at the latest."""

    folder: Path
    seed: int = 1
    source: str = "sqlite"
    target: str = "sqlite"
    cut_overs: int | None = None
    seconds: float = 60.0
    rate: float = 150.0
    deaths: Sequence[Death] = tuple(Death)
    kill_every_s: float = 1.2
    pause_s: float = 0.05


@dataclass(slots=True)
class Torture:
    """One run."""

    plan: Plan
    said: Callable[[str], None] = lambda _: None
    movers_of: Callable[[Site, float], Movers] = LibraryMovers
    operations: Sequence[Operation] = ()
    _troubles: list[Trouble] = field(default_factory=list)
    _told_at: float = 0.0

    def run(self) -> Report:
        """Everything, and what came of it. EndedByItself when a part died that was not killed."""
        plan, began = self.plan, time.monotonic()
        with ExitStack() as stack:
            kinds = (plan.source, plan.target)
            site = Site(plan.folder, kinds, plan.seed, plan.rate, bool(plan.deaths), stack)
            movers = self.movers_of(site, plan.pause_s)
            site.start()
            movers.start()
            site.start_writers()
            self._go_on(site, movers)
            movers.end()
            site.end_writers()
            sides, violations = self._at_the_end(site)
        self.operations = read(sorted(site.history.iterdir()))
        violations += check(self.operations, sides)
        violations += _broken_logs(site)
        outcomes = movers.outcomes()
        late = list(run_out(outcomes, Wishes().hold_s, AFTER_S))
        troubles = list(until_settled(self._troubles, outcomes, AFTER_S))
        violations += unexcused(self.operations, [*troubles, *late])
        return Report(
            *(plan.seed, plan.source, plan.target, str(plan.folder), time.monotonic() - began),
            cut_overs=movers.cut_overs(),
            undone=sum(each.get("done") is False for each in outcomes),
            run_out=len(late),
            resumed=sum(each["event"] == "resumed" for each in outcomes),
            deaths=dict(sorted(Counter(trouble.what for trouble in self._troubles).items())),
            operations=counted(self.operations),
            failures=failed(self.operations),
            hold_ms=hold_figures(outcomes),
            longest_without_write_s=longest_without_write_s(self.operations),
            reasons=dict(Counter(each["reason"] for each in outcomes if each.get("reason"))),
            faults=dict(Counter(each["text"] for each in outcomes if each["event"] == "fault")),
            violations=violations,
        )

    def _go_on(self, site: Site, movers: Movers) -> None:
        plan, began = self.plan, time.monotonic()
        killing = Killing(site, movers, random.Random(f"{plan.seed} picks"))  # noqa: S311
        servers = {plan.source, plan.target} != {"sqlite"}
        wanted = [death for death in plan.deaths if servers or death != Death.SESSION]
        deaths = acts(plan.seed, wanted, plan.kill_every_s)
        act, at, done = next(deaths, None), began, -1
        while time.monotonic() - began < plan.seconds and not self._enough(movers):
            # A machine that is busy is given time, so that there is something to be killed.
            given_s = 0.0 if movers.cut_overs() > done else GIVEN_S
            if act and time.monotonic() - at >= act.after_s + given_s:
                self._troubles.append(killing.carry_out(act))
                act, at, done = next(deaths, None), time.monotonic(), movers.cut_overs()
            movers.check()
            site.check()
            self._tell(movers)
            time.sleep(TICK_S)

    def _enough(self, movers: Movers) -> bool:
        return self.plan.cut_overs is not None and movers.cut_overs() >= self.plan.cut_overs

    def _tell(self, movers: Movers) -> None:
        if time.monotonic() - self._told_at >= 10:
            self._told_at = time.monotonic()
            self.said(f"{movers.cut_overs()} cut-overs, {len(self._troubles)} deaths")

    def _at_the_end(self, site: Site) -> tuple[list[Contents], list[Violation]]:
        """Settled and carried over, one side takes writes and the other refuses them."""
        way = first_way(*site.urls)
        owner = settle(way, site.config, self.said)
        violations = list(_probed(site, owner))
        site.end_services()
        owner = settle(way, site.config, self.said)
        compared = compare(way if owner == Owner.CONTROL else way.turned())
        if not compared.agrees:
            violations.append(Violation("", f"verify: {compared}"))
        names = (f"the {side}" for side in Owner)
        sides = [tables.contents(name, url) for name, url in zip(names, site.urls, strict=True)]
        return sides, violations


def _probed(site: Site, owner: Owner) -> Iterator[Violation]:
    """A row at each side, by who bypasses the proxy: the owner takes it, the other does not."""
    with (site.history / "probes.jsonl").open("a", encoding="utf-8") as out:
        for side, url in zip(Owner, site.urls, strict=True):
            word, began, writer = f"bypass-probe-{side}", time.monotonic(), Writer(url)
            outcome, _, told = writer.carry_out(Kind.INSERT, word, f"{word}-m", 1)
            writer.close()
            ended = time.monotonic()
            append(
                out,
                Operation(
                    *(f"bypass-{side}", Kind.INSERT, word, f"{word}-m", 1),
                    *(began, ended, outcome, told),
                ),
            )
            wanted = Outcome.OK if side == owner else Outcome.REFUSED
            if outcome != wanted:
                yield Violation(word, f"at the end the {side}'s tables gave {outcome}: {told}")


def _broken_logs(site: Site) -> Iterator[Violation]:
    for log in sorted(site.folder.glob("*.log")):
        if "Traceback" in log.read_text("utf-8", "replace"):
            yield Violation("", f"{log} has a traceback")
