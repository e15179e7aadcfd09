"""Cut-overs to and fro, one after another: `python -m scripts.torturing.mover PLAN`.

PLAN is a file of JSON (see `Plan`). Each outcome is a line of its file. Two of these run beside
each other, of which one has the ledger and the other waits for it, so that who is killed is
replaced at once. Killed at any time, or behind a step when the file `orders` names one. Ends on
SIGTERM between two cut-overs.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scripts.torturing.orphans import end_with_parent
from strangler_proxy.handover import cutover, reverse
from strangler_proxy.handover.capture import Capture, Entry
from strangler_proxy.handover.crossing import Crossing, open_crossing
from strangler_proxy.handover.cutover import Wishes
from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.databases.port import Session
from strangler_proxy.handover.faults import HandoverFault
from strangler_proxy.handover.ledger import LedgerLocked
from strangler_proxy.handover.local_proxy import LocalProxy
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.ownership import OwnerLedger, open_ownership, ownership_path
from strangler_proxy.handover.pairing import pair_tables
from strangler_proxy.handover.verify import Report, verify
from strangler_proxy.handover.way import Owner, Way, forward

MOVE = "torture"
ROUTE = "items"
TABLES = ("items", "log")
WHOLE_EVERY = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What a mover works on: URLs, the proxy's file, and files for what it tells and is told."""

    source: str
    target: str
    config: str
    outcomes: str
    orders: str
    active: str
    pause_s: float

    def keep(self, path: Path) -> None:
        """Write it down for a mover."""
        path.write_text(json.dumps(asdict(self)), "utf-8")


def first_way(source: str, target: str) -> Way:
    """From the control to the candidate."""
    move = Move.model_validate(
        {
            "name": MOVE,
            "source_env": "SOURCE",
            "target_env": "TARGET",
            "routes": [ROUTE],
            "tables": [{"table": table} for table in TABLES],
        }
    )
    control, candidate = open_database(source), open_database(target)
    with closing(control.session()) as one, closing(candidate.session()) as other:
        return forward(MOVE, control, candidate, pair_tables(move, one, other))


def install(way: Way) -> None:
    """Capture, and the fences of both sides, before anybody writes."""
    Capture(way.source, MOVE, [pair.source for pair in way.pairs]).install()
    reverse.install(way)


@dataclass(slots=True)
class Mover:
    """One process's work."""

    plan: Plan
    stop: threading.Event
    number: int = 0

    def run(self) -> None:
        """Until told to stop; what fails is told, and tried again."""
        while not self.stop.is_set():
            try:
                self._go_on()
            except LedgerLocked:
                self.stop.wait(0.05)  # the other one is at work
            except (HandoverFault, OSError) as fault:
                self._tell(event="fault", text=f"{type(fault).__name__}: {fault}"[:400])
                self.stop.wait(0.1)

    def _go_on(self) -> None:
        path = ownership_path(Path(self.plan.config), MOVE)
        with open_ownership(path) as ledger:
            Path(self.plan.active).write_text(str(os.getpid()), "ascii")
            way = first_way(self.plan.source, self.plan.target)
            proxies = [LocalProxy(Path(self.plan.config), [ROUTE])]
            while not self.stop.is_set():
                now = way if ledger.now.owner == Owner.CONTROL else way.turned()
                with open_crossing(now) as crossing:
                    self._may_die_in_the_tail(crossing)
                    outcome = cutover.resume(crossing, proxies, ledger, checkpoint=self._step)
                    if outcome is not None:
                        self._tell(event="resumed", **_told(outcome))
                        continue
                    self._tail(crossing)
                    if not self.stop.is_set():
                        self._cut_over(crossing, proxies, ledger)

    def _may_die_in_the_tail(self, crossing: Crossing) -> None:
        """Once rows are committed at the target, and once their entries are gone."""
        forget = crossing.capture.forget

        def forgetting(session: Session, entries: Sequence[Entry]) -> None:
            self._step("applied")
            forget(session, entries)
            self._step("forgotten")

        crossing.capture.forget = forgetting  # type: ignore[method-assign]  # there is no hook

    def _tail(self, crossing: Crossing) -> None:
        until = time.monotonic() + self.plan.pause_s
        while time.monotonic() < until and not self.stop.is_set():
            if not crossing.step().entries:
                self.stop.wait(0.01)

    def _cut_over(self, crossing: Crossing, proxies: list[LocalProxy], ledger: OwnerLedger) -> None:
        self.number += 1
        wishes = Wishes(whole=self.number % WHOLE_EVERY == 0, despite_writers=True)
        outcome = cutover.run(crossing, proxies, ledger, wishes, self._step)
        self._tell(event="ended", **_told(outcome))

    def _step(self, step: str) -> None:
        with suppress(FileNotFoundError):
            orders = Path(self.plan.orders)
            if orders.read_text("ascii") == step:
                orders.unlink()
                self._tell(event="killed", step=step)
                os.kill(os.getpid(), signal.SIGKILL)

    def _tell(self, **told: Any) -> None:
        with Path(self.plan.outcomes).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"at": time.monotonic(), **told}) + "\n")


def _told(outcome: cutover.Outcome) -> dict[str, Any]:
    return {
        "done": outcome.done,
        "owner": str(outcome.owner),
        "reason": outcome.reason,
        "hold_s": outcome.hold_s,
        "held": outcome.held,
        "steps_s": {step: round(seconds, 4) for step, seconds in outcome.steps_s.items()},
        "warnings": list(outcome.warnings),
    }


def settle(way: Way, config: Path, told: Callable[[str], None]) -> Owner:
    """After everything: settle what was begun, and carry all over. Returns the owner."""
    with open_ownership(ownership_path(config, MOVE)) as ledger:
        while True:
            now = way if ledger.now.owner == Owner.CONTROL else way.turned()
            with open_crossing(now) as crossing:
                if outcome := cutover.resume(crossing, [LocalProxy(config, [ROUTE])], ledger):
                    told(f"at the end: {'; '.join(cutover.told(outcome))}")
                    continue
                while crossing.step().entries:
                    pass
                return ledger.now.owner


def compare(way: Way) -> Report:
    """What the kit's own verification says of both sides."""
    return verify(way.pairs, way.source, way.target)


if __name__ == "__main__":
    end_with_parent()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    Mover(Plan(**json.loads(Path(sys.argv[1]).read_text("utf-8"))), stopping).run()
