"""A step script whose step is over, has no way back or is out of turn; what is left when done."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from strangler_proxy.steps import Stage, Step
from strangler_proxy.steps.leftovers import Leftover
from strangler_proxy.steps.order import Order
from strangler_proxy.steps.script import Script, Site, main
from tests.unit.steps.fakes import FakePart

CONFIG = "listen: 127.0.0.1:0\nupstreams: {old: {url: 'http://127.0.0.1:9'}}\ndefault: old\n"
PART = FakePart("a", {})
GONE = "notes are retired: no way leads back"


@dataclass(frozen=True)
class Options:
    pass


def looked_for(site: Site) -> list[Leftover]:
    names = tuple(site.config.upstreams)
    return [Leftover("upstreams", names, site.config_path.name, "look for `old` first")]


NOTES = Script(
    *("notes", "Move notes.", "", Options),
    lambda options, site: Step("notes", "Notes", (Stage("a", PART),)),
    afterwards=looked_for,
)


class Runs:
    """Runs of a script in one folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config, self.ledger = folder / "strangler.yaml", folder / ".strangler"
        self.config.write_text(CONFIG)
        self._capsys = capsys

    def run(self, script: Script, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        code = main(script, [*arguments, "-c", str(self.config)])
        told = self._capsys.readouterr()
        return code, told.out, told.err


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Runs:
    return Runs(tmp_path, capsys)


@pytest.mark.parametrize("way", ["--execute", "--undo"])
def test_a_step_that_is_over_can_be_looked_at_and_run_no_more(site: Runs, way: str) -> None:
    script = replace(NOTES, over=lambda _: GONE)
    assert site.run(script)[0] == 0
    code, _, told = site.run(script, way)
    assert (code, GONE in told) == (2, True)
    assert not site.ledger.exists()


def test_a_step_without_a_way_back_can_be_executed_and_refuses_its_undo_at_once(
    site: Runs,
) -> None:
    script = replace(NOTES, no_way_back=lambda _: GONE)
    assert site.run(script, "--execute")[0] == 0
    before = [path.read_bytes() for path in site.ledger.iterdir()]
    code, _, told = site.run(script, "--undo")
    assert (code, GONE in told) == (2, True)
    assert [path.read_bytes() for path in site.ledger.iterdir()] == before
    assert f"--undo would next: {GONE}" in site.run(script, "--status")[1]
    assert json.loads(site.run(script, "--status", "--json")[1])["next"]["undo"] == GONE
    assert site.run(script, "--execute")[0] == 0


def test_the_environment_says_of_which_site_the_step_is(
    site: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRANGLER_CONFIG", str(site.config))
    assert main(NOTES, ["--execute"]) == 0
    assert site.ledger.exists()


def test_a_step_out_of_turn_is_refused_with_nothing_done(site: Runs) -> None:
    later = replace(NOTES, name="later", order=Order(before=("notes",)))
    notes = replace(NOTES, order=Order(needed_by=("later",)))
    code, _, told = site.run(later, "--execute")
    assert (code, "which are not done: notes" in told) == (2, True)
    assert not site.ledger.exists()
    assert [site.run(script, "--execute")[0] for script in (notes, later)] == [0, 0]
    code, _, told = site.run(notes, "--undo")
    assert (code, "undo later first" in told) == (2, True)
    assert "undo later first" in site.run(notes, "--status")[1]
    assert [site.run(script, "--undo")[0] for script in (later, notes)] == [0, 0]


@pytest.mark.parametrize("way", ["--execute", "--undo"])
def test_of_two_steps_that_stand_in_each_others_way_at_once_one_gives_way(
    site: Runs, way: str
) -> None:
    """The other one goes its way after this one has looked, and before it has written anything."""
    meanwhile: list[Callable[[], object]] = []

    def declared(options: Options, at: Site) -> Step:
        while meanwhile:
            meanwhile.pop()()
        return NOTES.declare(options, at)

    notes = replace(NOTES, order=Order(needed_by=("later",)))
    later = replace(NOTES, name="later", order=Order(before=("notes",)))
    one, other, other_way = (
        (later, notes, "--undo") if way == "--execute" else (notes, later, "--execute")
    )
    assert site.run(notes, "--execute")[0] == 0
    meanwhile.append(lambda: site.run(other, other_way))
    code, _, told = site.run(replace(one, declare=declared), way)
    assert code == 2
    assert ("not done: notes" if way == "--execute" else "undo later first") in told
    assert site.run(one)[1].count("nothing was changed") == (way == "--execute")
    assert f"--{other_way[2:]} would next: nothing" in site.run(other, "--status")[1]


@pytest.mark.parametrize(
    ("folder", "arguments"),
    [
        ("/proc/nowhere", ["--execute"]),
        ("/proc/nowhere", ["--undo"]),
        ("/dev/null/x", ["--execute"]),
        ("/dev/null/x", ["--undo"]),
        ("/dev/null/x", ["--status"]),
        ("/dev/null/x", []),
    ],
)
def test_a_folder_that_cannot_be_used_is_told_in_a_sentence(
    site: Runs, folder: str, arguments: list[str]
) -> None:
    code, _, told = site.run(NOTES, *arguments, "--run-dir", folder)
    assert code == 2
    assert f"the ledger {folder}/notes.ledger.jsonl cannot be used: " in told
    assert "Traceback" not in told


def test_a_step_that_is_done_says_what_nobody_needs_any_more(site: Runs) -> None:
    line = "upstreams (strangler.yaml): old; look for `old` first"
    assert line not in site.run(NOTES, "--status")[1]
    assert line in site.run(NOTES, "--execute")[2]
    assert line in site.run(NOTES, "--status")[1]
    told = {"kind": "upstreams", "names": ["old"], "where": "strangler.yaml"}
    for arguments in (("--status", "--json"), ("--execute", "--json")):
        (left,) = json.loads(site.run(NOTES, *arguments)[1])["left_over"]
        assert left == {**told, "mind": "look for `old` first"}
    assert site.run(NOTES, "--undo")[0] == 0
    assert json.loads(site.run(NOTES, "--status", "--json")[1])["left_over"] == []
