"""`python -m extracted.auth.keys`, as whoever runs the service types it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from extracted.auth import keyfolder
from extracted.auth.app import create_app
from extracted.auth.keyfolder import load, make
from extracted.auth.keys import app
from extracted.auth.settings import Settings
from extracted.chassis.clock import utc_now


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def listed(folder: Path) -> list[tuple[str, str]]:
    told = json.loads(run("list", "--dir", str(folder), "--json").stdout)
    return [(each["kid"], each["state"]) for each in told]


def test_the_first_key_is_made_once_however_often_it_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    assert [run("new", "--dir", str(folder)).exit_code for _ in range(3)] == [0, 0, 0]
    (key,) = load(folder)
    assert listed(folder) == [(key.kid, "signs")]


def test_a_rotation_adds_a_key_and_removes_what_is_over(tmp_path: Path) -> None:
    now = utc_now()
    over, old = (make(tmp_path, now - timedelta(days=days)) for days in (9, 5))
    assert listed(tmp_path) == [(over.kid, "over"), (old.kid, "signs")]
    done = run("rotate", "--dir", str(tmp_path))
    assert done.exit_code == 0
    assert f"Removed {over.kid}" in done.stdout
    (_, new) = load(tmp_path)
    assert listed(tmp_path) == [(old.kid, "signs"), (new.kid, "waits")]


def test_a_key_whose_tokens_still_live_stays(tmp_path: Path) -> None:
    now = utc_now()
    accepted, old = (make(tmp_path, now - timedelta(hours=hours)) for hours in (9, 5))
    assert run("rotate", "--dir", str(tmp_path)).exit_code == 0
    (_, _, new) = load(tmp_path)
    assert listed(tmp_path) == [(accepted.kid, "accepted"), (old.kid, "signs"), (new.kid, "waits")]
    shown = run("list", "--dir", str(tmp_path)).stdout
    assert f"{accepted.kid}  accepted until " in shown


@pytest.mark.parametrize("longer", [{"token_ttl_s": 7 * 86400}, {"signing_delay_s": 7 * 3600}])
def test_a_rotation_that_is_not_told_how_long_the_services_tokens_live_removes_no_key_of_theirs(
    settings: Settings, longer: dict[str, int]
) -> None:
    folder = settings.signing_keys
    (first,) = load(folder)
    keyfolder.remove(folder, first)
    now = utc_now()
    old, signing = (make(folder, now - timedelta(hours=hours)) for hours in (96, 28))
    create_app(replace(settings, **longer)).extensions["close"]()
    create_app(settings).extensions["close"]()  # shorter again: what it has signed lives on
    assert run("rotate", "--dir", str(folder)).exit_code == 0
    kids = [key.kid for key in load(folder)]
    assert kids[:2] == [old.kid, signing.kid]
    assert listed(folder)[0] == (old.kid, "accepted")


def test_a_rotation_notes_what_it_is_told(tmp_path: Path) -> None:
    now = utc_now()
    old, _ = (make(tmp_path, now - timedelta(days=days)) for days in (9, 5))
    for more in (("--ttl-s", str(6 * 86400)), ()):
        assert run("rotate", "--dir", str(tmp_path), *more).exit_code == 0
        assert load(tmp_path)[0].kid == old.kid


def test_a_note_that_cannot_be_read_is_told_and_nothing_is_done(tmp_path: Path) -> None:
    make(tmp_path, utc_now())
    (tmp_path / "kept-s").write_text("a week")
    done = run("rotate", "--dir", str(tmp_path))
    assert (done.exit_code, len(load(tmp_path))) == (1, 1)
    assert "does not say a number of seconds" in done.stderr


def test_what_cannot_be_done_is_told(tmp_path: Path) -> None:
    for command in ("rotate", "list"):
        done = run(command, "--dir", str(tmp_path))
        assert done.exit_code == 1
        assert "has no signing key" in done.stderr
    (tmp_path / "file").touch()
    done = run("new", "--dir", os.fspath(tmp_path / "file" / "keys"))
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr
