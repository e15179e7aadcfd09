"""A step script whose step is over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from strangler_proxy.steps import Step
from strangler_proxy.steps.script import Script, main

CONFIG = "listen: 127.0.0.1:0\nupstreams: {old: {url: 'http://127.0.0.1:9'}}\ndefault: old\n"


@dataclass(frozen=True)
class Options:
    pass


@pytest.mark.parametrize("way", ["--execute", "--undo"])
def test_a_step_that_is_over_can_be_looked_at_and_run_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    config = tmp_path / "strangler.yaml"
    config.write_text(CONFIG)
    script = Script(
        "notes",
        "Move notes.",
        "",
        Options,
        lambda options, site: Step("notes", "Notes", ()),
        over=lambda: "notes are retired: no way leads back",
    )
    assert main(script, ["-c", str(config)]) == 0
    assert main(script, [way, "-c", str(config)]) == 2
    assert "no way leads back" in capsys.readouterr().err
    assert not (tmp_path / ".strangler").exists()
