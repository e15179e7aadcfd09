"""What of a site runs, for people and for programs."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from scripts.local_site.site import Site

ALL_RUN, NOT_ALL = 0, 1
BASE, MOVED = "base", "moved"


@dataclass(frozen=True, slots=True)
class Row:
    """One program: where it belongs, whether it runs, and where its output goes.

    `kind` is base for what scripts/up starts by itself, moved for what a step has moved out.
    """

    name: str
    kind: str
    running: bool
    pid: int | None
    port: int | None
    log: str


def rows(site: Site) -> list[Row]:
    """What was started, and what the steps have moved.

    Raises UnusableError, or one of UNREADABLE.
    """
    base = [
        Row(
            each.name,
            BASE,
            each.runs,
            each.pid if each.runs else None,
            each.port,
            str(site.logs / f"{each.name}.log"),
        )
        for each in site.started()
    ]
    if not base:
        return []
    parts = [(part, part.pid()) for part in site.view(site.kept).needed]
    return base + [
        Row(part.service, MOVED, pid is not None, pid, None, str(part.log)) for part, pid in parts
    ]


def tell(site: Site, say: Callable[[str], None], *, as_json: bool) -> int:
    """Say what runs; ALL_RUN when everything that has to run does. Raises as `rows` does."""
    found = rows(site)
    well = bool(found) and all(row.running for row in found)
    if as_json:
        say(json.dumps({"well": well, "programs": [asdict(row) for row in found]}, indent=2))
        return ALL_RUN if well else NOT_ALL
    for row in found:
        say(f"{row.name:<18} {'running' if row.running else 'has ended'}")
    if not found:
        say("nothing is running; scripts/up starts it")
    return ALL_RUN if well else NOT_ALL
