"""Cut-over and rollback under live writers: nothing is lost, and new ids go on."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from strangler_proxy.handover import cutover, reverse
from strangler_proxy.handover.backfill import backfill
from strangler_proxy.handover.capture import Capture
from strangler_proxy.handover.crossing import open_crossing
from strangler_proxy.handover.cutover import Wishes
from strangler_proxy.handover.move import Move
from strangler_proxy.handover.ownership import open_ownership
from strangler_proxy.handover.pairing import pair_tables
from strangler_proxy.handover.way import Owner, forward
from tests.integration.handover.cutover.conftest import Make
from tests.integration.handover.cutting import Capability, FakeProxy, Writers
from tests.wire_tools.proxy import until


@pytest.mark.timeout(300)  # twenty cut-overs, on a machine that may be busy
def test_cut_over_and_rollback_alternate_and_keep_every_write(capability: Capability) -> None:
    writers, holds = Writers(capability), []
    with writers.writing():
        for turn in range(20):
            capability.tail_until(writers.more(20), "writes go on")
            outcome = capability.cut(Wishes(whole=turn % 5 == 0, despite_writers=True))
            assert outcome.done, outcome
            assert outcome.owner == capability.owner != [*Owner][turn % 2]
            assert all("bypasses the proxy" in warning for warning in outcome.warnings)
            holds.append(outcome.hold_s)
        capability.tail_until(writers.more(20), "writes go on")
    assert writers.errors == []
    assert writers.refused > 0
    capability.settled()
    writers.check()
    assert statistics.median(holds) < 0.5


def test_a_row_touched_since_it_was_verified_is_compared_under_the_hold(files: Capability) -> None:
    mover = files.places[Owner.CANDIDATE].session("m")

    def spoils(step: str) -> None:
        if step == "drained":
            with mover.transaction():
                mover.execute("UPDATE counters SET n = 5 WHERE id = 3")
        if step == "prepared":
            files.places[Owner.CONTROL].writer("UPDATE counters SET n = 1 WHERE id = 3")

    outcome = files.cut(Wishes(), spoils)
    assert not outcome.done
    assert "counters 3: different" in (outcome.reason or "")


def test_tables_that_are_shut_are_filled_by_the_mover_alone(capability: Capability) -> None:
    writers = Writers(capability, bypassing=False)
    with writers.writing():
        until(writers.more(20), "writes go on")
    way = capability.first
    backfill(way.pairs, way.source, way.target, "m", lambda pair, key: None)
    assert capability.counts(Owner.CANDIDATE) == writers.counts
    assert capability.words(Owner.CANDIDATE) == capability.words(Owner.CONTROL)
    stranger = capability.places[Owner.CANDIDATE].session()
    with pytest.raises(Exception, match="mov"):
        stranger.execute("UPDATE counters SET n = 0")
    capability.settled()
    writers.check()


def test_values_that_are_computed_on_the_way_stay_where_they_are_on_the_way_back(
    place: Make, tmp_path: Path
) -> None:
    control, candidate = place("sqlite"), place("sqlite")
    old = control.writer(
        "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, body TEXT, secret TEXT DEFAULT 'kept')"
    )
    new = candidate.writer(
        "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, body TEXT, letters INTEGER)"
    )
    columns = {"id": "id", "body": "body", "letters": {"sql": "length(body)"}}
    move = Move.model_validate(
        {
            "name": "m",
            "source_env": "A",
            "target_env": "B",
            "tables": [{"table": "t", "columns": columns}],
        }
    )
    way = forward("m", control.database, candidate.database, pair_tables(move, old, new))
    Capture(way.source, "m", [pair.source for pair in way.pairs]).install()
    reverse.install(way)
    proxy = FakeProxy()
    for number, writer in enumerate([old, new, old]):
        writer.execute("INSERT INTO t (id, body) VALUES (?, ?)", (number, "x" * number))
        if writer is new:
            new.execute("UPDATE t SET letters = length(body)")
        with open_crossing(way) as crossing, open_ownership(tmp_path / "owner.jsonl") as ledger:
            assert cutover.run(crossing, [proxy], ledger).done
        way = way.turned()
    new.execute("UPDATE t SET body = 'new', letters = 3 WHERE id = 0")
    with open_crossing(way) as crossing:
        while crossing.step().entries:
            pass
    assert old.rows("SELECT * FROM t ORDER BY id") == [
        (0, "new", "kept"),
        (1, "x", "kept"),
        (2, "xx", "kept"),
    ]
    assert new.rows("SELECT * FROM t ORDER BY id") == [(0, "new", 3), (1, "x", 1), (2, "xx", 2)]
