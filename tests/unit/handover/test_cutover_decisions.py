"""What a cut-over decides, without a database: after a crash, about time, about who owns."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from strangler_proxy.handover import hold
from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.databases.port import (
    Cell,
    Column,
    Kind,
    Pair,
    Side,
    Table,
    TableName,
)
from strangler_proxy.handover.deciding import (
    SHORTEST_FENCE_S,
    Next,
    disagreement,
    fence_seconds,
    next_after_crash,
    time_left,
)
from strangler_proxy.handover.faults import HandoverRefused
from strangler_proxy.handover.fence import Standing
from strangler_proxy.handover.hold import HoldRefused
from strangler_proxy.handover.ledger import LedgerError, LedgerLocked
from strangler_proxy.handover.ownership import (
    OwnerKind,
    open_ownership,
    ownership,
    read_ownership,
)
from strangler_proxy.handover.way import Owner, Way, forward
from strangler_proxy.running.client import Released


def noon() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("target", list(Standing))
@pytest.mark.parametrize("source", list(Standing))
def test_after_a_crash_the_fences_say_how_far_it_came(source: Standing, target: Standing) -> None:
    assert next_after_crash(False, source, target) == Next.NOTHING
    after = next_after_crash(True, source, target)
    assert (after == Next.COMPLETE) == (target != Standing.SHUT)
    assert (after == Next.DECIDE) == (source == target == Standing.SHUT)
    assert (after == Next.UNDO) == (target == Standing.SHUT != source)


def test_nothing_begins_unless_the_owner_alone_may_be_written() -> None:
    fine = [(one, other) for one in Standing for other in Standing if not disagreement(one, other)]
    assert fine == [
        (Standing.OPEN, Standing.SHUT),
        (Standing.UP, Standing.SHUT),
        (Standing.LAPSED, Standing.SHUT),
    ]


def test_the_fence_lapses_before_any_hold_runs_out() -> None:
    seconds = fence_seconds(asked_at=100.0, now=100.3, hold_s=2.0, skew_s=0.2)
    assert seconds == pytest.approx(1.5)
    assert 100.3 + seconds + 0.2 <= 100.0 + 2.0 + 1e-9
    assert time_left(100.0, 100.3, 2.0) == pytest.approx(1.7)


def test_no_fence_is_raised_when_the_hold_took_all_the_time() -> None:
    assert fence_seconds(100.0, 101.8 - SHORTEST_FENCE_S / 2, 2.0, 0.2) is None
    assert fence_seconds(100.0, 103.0, 2.0, 0.2) is None


def test_owner_changes_with_done_and_stays_with_undone() -> None:
    intended = {"kind": "intended", "owner": "control"}
    held = {"kind": "held", "holds": {"a.yaml": "1-1"}}
    assert ownership([]).owner == Owner.CONTROL
    under_way = ownership([intended, held])
    assert (under_way.intent, under_way.owner) == (True, Owner.CONTROL)
    assert under_way.holds == {"a.yaml": "1-1"}
    done = ownership([intended, held, {"kind": "done", "owner": "candidate"}])
    assert (done.owner, done.intent, done.cut_overs) == (Owner.CANDIDATE, False, 1)
    undone = ownership([intended, held, {"kind": "undone", "why": "late"}])
    assert (undone.owner, undone.intent, undone.ended) == (Owner.CONTROL, False, "late")
    assert ownership([intended, held, intended]).holds == {}


def test_ownership_survives_a_torn_line_and_refuses_other_damage(tmp_path: Path) -> None:
    path = tmp_path / ".strangler" / "m.owner.jsonl"
    assert read_ownership(path).owner == Owner.CONTROL
    with open_ownership(path, noon) as ledger:
        ledger.record(OwnerKind.INTENDED, owner="control")
        ledger.record(OwnerKind.DONE, owner="candidate")
        with pytest.raises(LedgerLocked, match="another cut-over"), open_ownership(path):
            pass
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"v":1,"kind":"inten')
    assert read_ownership(path).owner == Owner.CANDIDATE
    with open_ownership(path, noon) as ledger:
        assert (ledger.now.owner, ledger.now.intent) == (Owner.CANDIDATE, False)
    assert path.read_bytes() == whole
    for damage in (b"{}\n", b'{"v":1,"at":"","kind":"done"}\n'):
        path.write_bytes(damage + whole)
        with pytest.raises(LedgerError, match=":1 is damaged"), open_ownership(path):
            pass


class Yielding:
    """A proxy that holds, or refuses to, and remembers what it has let go."""

    def __init__(self, name: str, refusal: str | None = None) -> None:
        self.name = name
        self.refusal = refusal
        self.released: list[str] = []

    def prepare(self, to: Owner) -> None:
        """Nothing to work out."""

    def hold(self, seconds: float, drain_s: float) -> str:
        if self.refusal:
            raise HoldRefused(self.refusal)
        return f"hold of {self.name}"

    def flip(self, hold: str) -> None:
        if self.refusal:
            raise HoldRefused(self.refusal)

    def serve(self, owner: Owner) -> bool:
        return not self.refusal

    def release(self, hold: str) -> Released:
        self.released.append(hold)
        if self.refusal:
            raise HoldRefused(self.refusal)
        return Released(2, 0.5, None)


def test_a_hold_that_one_proxy_refuses_is_given_back_by_all() -> None:
    proxies = [Yielding("a"), Yielding("b", "a worker is silent"), Yielding("c")]
    with pytest.raises(HoldRefused, match="a worker is silent"):
        hold.acquire(proxies, 2.0, 1.0)
    assert [proxy.released for proxy in proxies] == [["hold of a"], [], ["hold of c"]]


class Broken(Yielding):
    """A proxy that fails in a way nobody has thought of."""

    def hold(self, seconds: float, drain_s: float) -> str:
        raise KeyError("hold")


def test_a_hold_is_given_back_by_all_whatever_goes_wrong_at_one() -> None:
    proxies = [Broken("a"), Yielding("b")]
    with pytest.raises(KeyError):
        hold.acquire(proxies, 2.0, 1.0)
    assert proxies[1].released == ["hold of b"]


def test_release_adds_up_what_was_held_and_goes_on_past_a_proxy_that_is_gone() -> None:
    proxies = [Yielding("a"), Yielding("b"), Yielding("c")]
    holds = hold.acquire(proxies, 2.0, 1.0)
    proxies[0].refusal = "it is gone"
    assert hold.release(proxies, holds) == Released(4, 0.5, "it is gone")
    assert [proxy.released for proxy in proxies] == [[holds["a"]], [holds["b"]], [holds["c"]]]
    assert hold.serve(proxies, Owner.CONTROL)[0].startswith("a: ")
    with pytest.raises(HoldRefused, match="it is gone"):
        hold.flip(proxies, holds)


# --- ways


def column(name: str, **told: object) -> Column:
    return replace(Column(name, "int", (Kind.INTEGER,), nullable=False), **told)  # type: ignore[arg-type]


def cell(of: Column | None, sql: str = "x") -> Cell:
    return Cell(of.kinds[0] if of else Kind.INTEGER, sql, of)


def way(source: tuple[Column, ...], pairs: list[tuple[Cell, Cell]], key: int = 0) -> Way:
    target = tuple(there.column for _, there in pairs if there.column)
    old, new = (Table(TableName(None, "t"), columns, ("id",)) for columns in (source, target))
    pair = Pair(
        Side(old, tuple(one for one, _ in pairs), (key,)),
        Side(new, tuple(other for _, other in pairs), (key,)),
    )
    urls = ("sqlite:////nowhere/a.db", "sqlite:////nowhere/b.db")
    return forward("m", open_database(urls[0]), open_database(urls[1]), [pair])


ID, N = column("id"), column("n")


def test_expressions_and_computed_columns_are_left_out_on_the_way_back() -> None:
    total = column("total", generated=True)
    pairs = [(cell(None, "(1 + 1)"), cell(column("words"))), (cell(total), cell(column("total")))]
    there = way((ID, N, total), [*pairs, (cell(ID), cell(ID)), (cell(N), cell(N))], key=2)
    (back,) = there.turned().pairs
    assert [each.name for each in back.source.cells] == ["id", "n"]
    assert [each.name for each in back.target.cells] == ["id", "n"]
    assert (back.source.key, back.target.key) == ((0,), (0,))
    assert (there.turned().owner, there.turned().source.shown) == (
        Owner.CANDIDATE,
        there.target.shown,
    )
    assert there.turned().turned() == there


def test_a_way_without_a_way_back_is_refused_with_every_reason() -> None:
    needed, made = column("needed"), column("id", generated=True)
    fine = column("at", kinds=(Kind.TIMESTAMP,), scale=6)
    coarse = replace(fine, scale=0)
    with pytest.raises(HandoverRefused) as refused:
        way((made, needed, coarse), [(cell(made), cell(ID)), (cell(coarse), cell(fine))])
    assert len(refused.value.sentences) == 3
    assert "t.needed must be filled at the source" in str(refused.value)
    assert "t.id is computed by the source" in str(refused.value)
    assert "t.at keeps 0 digits" in str(refused.value)


def test_a_key_that_only_the_source_takes_for_one_is_refused() -> None:
    loose = column("id", kinds=(Kind.TEXT,), collation="utf8mb4_general_ci")
    strict = column("id", kinds=(Kind.TEXT,), collation="C")
    with pytest.raises(HandoverRefused, match="takes for one key what"):
        way((loose,), [(cell(loose), cell(strict))])


def test_columns_with_defaults_need_nothing_to_come_back() -> None:
    columns = (ID, column("a", has_default=True), column("b", nullable=True))
    assert way(columns, [(cell(ID), cell(ID))]).back
