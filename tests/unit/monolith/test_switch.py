from __future__ import annotations

from pathlib import Path

import pytest

from monolith.seams.switch import Switch


def put(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)


def test_without_a_file_everything_is_local(tmp_path: Path) -> None:
    assert set(Switch(None).modes().values()) == {"local"}
    assert Switch(tmp_path / "missing.json").mode("image") == "local"


def test_a_written_file_takes_effect_at_once_and_its_removal_too(tmp_path: Path) -> None:
    path = tmp_path / "seams.json"
    switch = Switch(path)
    for text, mode in [('{"image": "remote"}', "remote"), ("{}", "local")] * 3:
        put(path, text)
        assert switch.mode("image") == mode
    put(path, '{"image": "remote"}')
    assert switch.mode("image") == "remote"
    path.unlink()
    assert switch.mode("image") == "local"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"image": "away"}', '{"imgae": "remote"}'])
def test_a_file_that_makes_no_sense_changes_nothing(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "seams.json"
    switch = Switch(path)
    put(path, '{"image": "remote"}')
    assert switch.mode("image") == "remote"
    put(path, text)
    assert switch.mode("image") == "remote"
    assert "seams.json" in caplog.text
