"""Where commands about data look for what moves have done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from strangler_proxy.cli import app
from strangler_proxy.handover.ledger import ledger_path, open_ledger
from strangler_proxy.handover.standing import RecordKind

MOVES = """
moves:
  - {name: notes, source_env: OLD_URL, target_env: NEW_URL, tables: [{table: notes}]}
"""


@pytest.fixture
def moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OLD_URL", "NEW_URL"):
        monkeypatch.setenv(name, f"sqlite:///{tmp_path}/{name}.db")
    path = tmp_path / "moves.yaml"
    path.write_text(MOVES)
    return path


def retire(moves: Path, folder: Path | None) -> None:
    with open_ledger(ledger_path(moves, "notes", folder), "retire") as ledger:
        ledger.record(RecordKind.RETIRED, dropped=False)


def phase(moves: Path, *options: str) -> str:
    command = ("status", "notes", "-m", str(moves), "--json")
    told = CliRunner().invoke(app, ["data", *options, *command])
    return json.loads(told.stdout)["phase"]


def test_it_is_beside_the_file_of_moves_or_in_the_folder_that_is_given(
    moves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    retire(moves, site)
    assert phase(moves) == "not begun"
    assert phase(moves, "--ledgers", str(site)) == "retired"
    assert phase(moves) == "not begun"  # no command remembers another's folder
    monkeypatch.setenv("STRANGLER_LEDGERS", str(site))
    assert phase(moves) == "retired"
    monkeypatch.delenv("STRANGLER_LEDGERS")
    retire(moves, None)
    assert phase(moves) == "retired"
