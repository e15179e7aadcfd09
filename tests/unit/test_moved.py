from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import moved, moving
from scripts.moved import Standing, needed
from strangler_proxy.config import load
from strangler_proxy.handover.ledger import ledger_path, open_ledger
from strangler_proxy.handover.standing import RecordKind
from strangler_proxy.steps.ledger import open_ledger as open_step_ledger
from strangler_proxy.steps.parts import StartProcess
from strangler_proxy.steps.script import Site
from tests.declared_site import declared_site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return declared_site(tmp_path, monkeypatch)


def names(site: Site, **sets: set[str]) -> list[str]:
    standing = Standing(**{name: frozenset(values) for name, values in sets.items()})
    return [part.service for part in needed(moved.programs(site), standing)]


def test_nothing_is_needed_while_the_monolith_does_everything(site: Site) -> None:
    assert names(site) == []


def test_a_service_is_needed_for_callers_and_for_the_monolith(site: Site) -> None:
    assert names(site, served={"image"}) == ["image"]
    assert names(site, remote={"auth"}) == ["auth"]


def test_a_service_brings_its_workers_and_each_program_runs_once(site: Site) -> None:
    assert names(site, served={"posts", "payment"}) == [
        *("posts", "posts-consumer", "email-worker"),
        *("payment", "payment-reconciler"),
    ]


def test_a_move_that_is_carried_needs_its_mover_and_the_service(site: Site) -> None:
    assert names(site, carried={"auth"}) == ["auth", "auth-mover"]


def test_a_retired_move_needs_no_mover(site: Site) -> None:
    assert "auth-mover" not in names(site, served={"auth"}, started={"auth-mover"})


def test_a_worker_that_an_undo_leaves_has_mails_to_finish(site: Site) -> None:
    assert names(site, started={"posts", "posts-consumer", "email-worker"}) == ["email-worker"]


def test_what_runs_elsewhere_is_not_started_here(site: Site) -> None:
    began = {"v": 1, "at": "2026-01-01T00:00:00Z", "kind": "began"}
    options = {"external": "http://127.0.0.1:4"}
    site.run_dir.mkdir()
    ledger = site.run_dir / "posts.ledger.jsonl"
    ledger.write_text(json.dumps({**began, "options": options}) + "\n")
    assert names(site, served={"posts"}, carried={"posts"}) == ["posts-mover"]


def test_a_move_is_carried_from_its_beginning_until_it_is_retired(site: Site) -> None:
    path, seams = (
        ledger_path(moving.moves_file(), "auth", site.run_dir),
        site.run_dir / "seams.json",
    )
    told = dict.fromkeys(("declared", "source", "target", "fingerprint"), "x")
    with open_ledger(path, "start") as ledger:
        assert moved.look(site, seams).carried == set()
        ledger.record(RecordKind.BEGUN, **told, home=None)
        assert moved.look(site, seams).carried == {"auth"}
        ledger.record(RecordKind.COPIED)
        assert moved.look(site, seams).carried == {"auth"}
        ledger.record(RecordKind.RETIRED, dropped=False)
        assert moved.look(site, seams).carried == set()


def test_a_step_at_work_has_its_programs_in_hand_and_those_alone(site: Site) -> None:
    programs = moved.programs(site)
    assert moved.in_hand(programs, frozenset()) == set()
    assert moved.in_hand(programs, frozenset({"payment"})) == {
        "payment",
        "payment-reconciler",
        "email-worker",
        "payment-mover",
    }
    retiring = moved.in_hand(programs, frozenset({"retire"}))
    assert retiring == {"auth-mover", "posts-mover", "payment-mover"}


def test_a_view_tells_what_has_to_run_and_whose_step_holds_its_ledger(site: Site) -> None:
    seams = site.run_dir / "seams.json"
    seams.parent.mkdir()
    seams.write_text('{"image": "remote", "auth": "remote"}')
    with open_step_ledger(site.run_dir / "auth.ledger.jsonl", "undo"):
        seen = moved.view(site.config_path, site.run_dir, seams)
        assert [part.service for part in seen.needed] == ["image", "auth"]
        assert seen.in_hand == {"auth", "auth-mover"}
    assert moved.view(site.config_path, site.run_dir, seams).in_hand == set()


def test_seams_and_routes_and_what_was_started_are_read_from_their_files(
    site: Site, tmp_path: Path
) -> None:
    seams = tmp_path / "seams.json"
    seams.write_text('{"image": "remote", "auth": "local"}')
    text = site.config_path.read_text()
    at = text.index("- name: posts-list")
    flipped = text[at:].replace("serve: control", "serve: {candidate_percent: 5}", 1)
    site.config_path.write_text(text[:at] + flipped)
    site.run_dir.mkdir()
    (site.run_dir / "email-worker.pid").write_text("1 1\n")
    found = moved.look(Site(load(site.config_path), site.config_path, site.run_dir), seams)
    assert found == Standing(
        served=frozenset({"posts"}),
        remote=frozenset({"image"}),
        started=frozenset({"email-worker"}),
    )


def test_what_is_well_already_is_left_alone(tmp_path: Path) -> None:
    part = StartProcess("image", ("false",), tmp_path, lambda: None, tmp_path)
    assert not moved.start(part)
    assert list(tmp_path.iterdir()) == []
