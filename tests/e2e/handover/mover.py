"""A mover in a process of its own, which dies behind a step: `… mover CONTROL CANDIDATE YAML STEP`.

With "-" for a step it does not.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from strangler_proxy.handover import cutover
from strangler_proxy.handover.crossing import open_crossing
from strangler_proxy.handover.cutover import Outcome, Wishes
from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.hold import Proxy
from strangler_proxy.handover.local_proxy import LocalProxy
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.ownership import open_ownership, ownership_path, read_ownership
from strangler_proxy.handover.pairing import pair_tables
from strangler_proxy.handover.way import Owner, Way, forward

MOVE = {
    "name": "notes",
    "source_env": "CONTROL",
    "target_env": "CANDIDATE",
    "routes": ["notes"],
    "tables": [{"table": "notes"}, {"table": "counters"}],
}


def first_way(control: Path, candidate: Path) -> Way:
    """From the control to the candidate."""
    source, target = (open_database(f"sqlite:///{path}") for path in (control, candidate))
    with closing(source.session()) as one, closing(target.session()) as other:
        pairs = pair_tables(Move.model_validate(MOVE), one, other)
    return forward("notes", source, target, pairs)


def owned(first: Way, config: Path) -> Way:
    """The way from whoever owns the tables now."""
    owner = read_ownership(ownership_path(config, "notes")).owner
    return first if owner == Owner.CONTROL else first.turned()


def cut_over(
    first: Way,
    config: Path,
    wishes: Wishes | None = None,
    checkpoint: Callable[[str], None] = lambda _: None,
    proxies: Sequence[Proxy] = (),
) -> Outcome:
    """To the other side, whichever that is; through the one proxy of the file, or these."""
    proxies = proxies or [LocalProxy(config, ["notes"])]
    with (
        open_crossing(owned(first, config)) as crossing,
        open_ownership(ownership_path(config, "notes")) as ledger,
    ):
        return cutover.run(crossing, proxies, ledger, wishes, checkpoint)


def resume(first: Way, config: Path) -> Outcome | None:
    """What was begun is completed or undone."""
    proxies = [LocalProxy(config, ["notes"])]
    with (
        open_crossing(owned(first, config)) as crossing,
        open_ownership(ownership_path(config, "notes")) as ledger,
    ):
        return cutover.resume(crossing, proxies, ledger)


def _die(step: str) -> None:
    if step == sys.argv[4]:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    first = first_way(Path(sys.argv[1]), Path(sys.argv[2]))
    outcome = cut_over(first, Path(sys.argv[3]), Wishes(whole=False), _die)
    sys.stdout.write(f"{outcome}\n")
