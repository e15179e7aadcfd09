"""How far the monolith's retirement is, what is refused behind it, and what it leaves over."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from scripts import retiring, step_1_image, step_5_retire
from scripts.processes import ROOT
from strangler_proxy.handover.ledger import ledger_path, open_ledger
from strangler_proxy.handover.standing import RecordKind
from strangler_proxy.steps.options import choose
from strangler_proxy.steps.parts import RetireMove
from strangler_proxy.steps.script import Site, main
from tests.declared_site import declared_site

MOVED = ("payments", "posts", "comments", "users")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return declared_site(tmp_path, monkeypatch)


def record(site: Site, kind: RecordKind, *moves: str) -> None:
    for move in moves:
        with open_ledger(
            ledger_path(retiring.moves_file(), move, site.run_dir), "retire"
        ) as ledger:
            more = {"dropped": False} if kind is RecordKind.RETIRED else {}
            ledger.record(kind, **more)


def test_whose_tables_refer_to_others_is_retired_before_those(site: Site) -> None:
    step = step_5_retire.declare(choose(step_5_retire.Options, {}, {}), site)
    retired = [part.move.name for part in step.parts if isinstance(part, RetireMove)]
    assert retired == ["payment", "posts", "auth"]


def test_before_anything_is_retired_every_way_back_is_open(site: Site) -> None:
    assert retiring.no_way_back(site) is None
    assert retiring.no_way_to_the_monolith(site) is None


@pytest.mark.parametrize("kind", [RecordKind.RETIRING, RecordKind.RETIRED])
def test_of_a_retirement_under_way_it_is_told_what_is_gone_for_good_and_what_is_not(
    site: Site, capsys: pytest.CaptureFixture[str], kind: RecordKind
) -> None:
    record(site, kind, "payment")
    arguments = ["--undo", "-c", str(site.config_path)]
    assert main(step_5_retire.SCRIPT, arguments) == 2
    told = capsys.readouterr().err
    assert "retired for good, with no way back: payment; not yet: posts, auth" in told
    assert "--execute completes the retirement" in told
    assert main(step_1_image.SCRIPT, arguments) == 2
    assert "the monolith is retired (payment)" in capsys.readouterr().err
    assert list(site.run_dir.glob("*.ledger.jsonl")) == []


def test_of_a_whole_retirement_nothing_leads_back(site: Site) -> None:
    record(site, RecordKind.RETIRED, *retiring.MOVES)
    told = "retired for good, with no way back: payment, posts, auth"
    assert str(retiring.no_way_back(site)).startswith(told)


def flip(site: Site, old: str, new: str) -> None:
    site.config_path.write_text(site.config_path.read_text().replace(old, new))


def test_a_route_leads_to_the_monolith_until_all_its_callers_are_sent_elsewhere(
    site: Site,
) -> None:
    led, needed = retiring.routes_led(site), retiring.needed(site)
    assert "image, upload, register" in str(led())
    flip(site, "serve: control", "serve: {candidate_percent: 99}")
    assert "image, upload, register" in str(led())
    flip(site, "serve: {candidate_percent: 99}", "serve: candidate")
    assert led() is None
    assert "lets the monolith answer what no route names" in str(needed())
    flip(site, "default: monolith", "default: posts")
    assert needed() is None
    flip(site, "control: monolith\n  candidate: image", "control: image\n  candidate: monolith")
    assert str(needed()) == "these lead to the monolith: image, upload"
    site.config_path.write_text("routes: 7")
    assert "strangler.yaml" in str(needed())


def left_over(site: Site) -> dict[str, tuple[str, ...]]:
    return {each.kind: each.names for each in retiring.left_over(site)}


def make_tables(site: Site, *names: str) -> None:
    with closing(sqlite3.connect(site.config_path.with_name("blog.db"))) as database:
        for name in names:
            database.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY)")


def test_what_is_left_over_is_looked_for_where_it_would_be(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tables(site, *MOVED, "alembic_version")
    found = left_over(site)
    assert found["tables"] == MOVED
    assert found["routes"][:3] == ("upstream monolith", "control of image", "control of upload")
    assert found["variables"] == ("DATABASE_URL", "SEAMS_FILE")
    assert found["secret"] == ("JWT_SECRET",)
    assert {"monolith", "migrations/monolith", "tests/unit/monolith"} <= set(found["code"])
    assert "process" not in found  # nobody answers there
    monkeypatch.delenv("SEAMS_FILE")
    flip(site, "control: monolith", "control: posts")
    found = left_over(site)
    assert found["variables"] == ("DATABASE_URL",)
    assert found["routes"] == ("upstream monolith",)


def test_tables_that_were_dropped_are_not_told_and_an_unknown_database_is(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tables(site, "alembic_version")
    assert "tables" not in left_over(site)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/blog")
    (told,) = left_over(site)["tables"]
    assert told.startswith("not known: ")
    monkeypatch.delenv("DATABASE_URL")
    assert "tables" not in left_over(site)


def test_what_only_the_monolith_reads_is_read_by_nothing_else() -> None:
    alone = set(retiring.ITS_VARIABLES) - {"DATABASE_URL"}  # each service has one of its own
    for name in alone:
        assert f'"{name}"' in (ROOT / "monolith" / "settings.py").read_text()
        readers = [p for p in (ROOT / "extracted").rglob("*.py") if f'"{name}"' in p.read_text()]
        assert readers == []
