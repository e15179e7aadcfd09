"""A mover to be killed: applies changes until it is, sometimes just before it forgets them.

Usage: python -m tests.integration.handover.tailing SOURCE_URL TARGET_URL SEED
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable, Sequence

from strangler_proxy.handover.capture import Capture, Entry
from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.databases.port import Session
from strangler_proxy.handover.faults import LockBusy
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.pairing import pair_tables
from strangler_proxy.handover.tail import Tail
from tests.wire_tools.proxy import until

MOVE = Move.model_validate(
    {"name": "m", "source_env": "A", "target_env": "B", "tables": [{"table": "t"}]}
)


class Mortal(Capture):
    """Dies, one time in ten, just before or just after the source forgets."""

    rng = random.Random()

    def forget(self, session: Session, entries: Sequence[Entry]) -> None:
        fate = self.rng.random()
        if fate < 0.05:
            os.kill(os.getpid(), signal.SIGKILL)
        super().forget(session, entries)
        if fate > 0.95:
            os.kill(os.getpid(), signal.SIGKILL)


def first_tail(claim: Callable[[], Tail]) -> Tail:
    """The tail, once the server has noticed that the last mover died."""
    made: list[Tail] = []

    def claimed() -> bool:
        try:
            made.append(claim())
        except LockBusy:
            return False
        return True

    until(claimed, "the claim of a dead mover is free")
    return made[0]


def main(source_url: str, target_url: str, seed: str) -> None:
    """Tail for ever."""
    Mortal.rng = random.Random(int(seed))
    database = open_database(source_url)
    source, target = database.session("m", 10), open_database(target_url).session("m", 10)
    pairs = pair_tables(MOVE, source, target)
    capture = Mortal(database, "m", [pair.source for pair in pairs])
    tail = first_tail(lambda: Tail("m", pairs, capture, source, target))
    sys.stdout.write("tailing\n")
    sys.stdout.flush()
    while True:
        try:
            tail.step(Mortal.rng.randrange(1, 40))
        except LockBusy:
            continue


if __name__ == "__main__":
    main(*sys.argv[1:])
