"""What a commit on SQLite is worth. A power cut cannot be tried here: SQLite's setting is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

import monolith.db
from extracted.chassis import database

FULL = 2  # https://www.sqlite.org/pragma.html#pragma_synchronous


@pytest.mark.parametrize("open_engine", [database.open_engine, monolith.db.open_engine])
def test_a_commit_is_on_disk_before_it_is_answered(
    open_engine: Callable[[str], Engine], tmp_path: Path
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == FULL
    engine.dispose()
