"""One copy by the kit, in a process of its own: `-m scripts.benchmarks.handover.copy FROM TO`."""

import sys
from contextlib import closing

from strangler_proxy.handover.backfill import backfill
from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.databases.port import Pair, Row
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.pairing import pair_tables

MOVE = "bench"


def main(source_url: str, target_url: str) -> None:
    """Copy the posts; nobody writes meanwhile, so no row may be refused."""
    source, target = open_database(source_url), open_database(target_url)
    move = Move.model_validate(
        {
            "name": MOVE,
            "source_env": "FROM",
            "target_env": "TO",
            "routes": [],
            "tables": [{"table": "posts"}],
        }
    )
    with closing(source.session()) as first, closing(target.session()) as second:
        pairs = pair_tables(move, first, second)
    backfill(pairs, source, target, MOVE, later=_refused)


def _refused(pair: Pair, key: Row) -> None:
    raise SystemExit(f"{pair.target.table.name}: the row {key} was refused")


if __name__ == "__main__":
    main(*sys.argv[1:])
