"""The schema's history and the models say the same, on every database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from monolith.db import Base, open_engine, upgrade
from monolith.models import User


def test_the_upgraded_schema_is_the_one_of_the_models(blog_url: str) -> None:
    assert User.__tablename__ in Base.metadata.tables
    engine = open_engine(blog_url)
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), Base.metadata)
        unique = inspect(connection).get_unique_constraints("payments")
    engine.dispose()
    assert found == []
    assert ["user_id", "idempotency_key"] in [each["column_names"] for each in unique]


def test_upgrading_again_changes_nothing(blog_url: str) -> None:
    upgrade(blog_url)


def test_the_command_makes_the_folder_and_the_database(tmp_path: Path) -> None:
    path = tmp_path / "new" / "blog.db"
    command = [sys.executable, "-m", "monolith.db", "upgrade"]
    for _ in range(2):
        subprocess.run(
            command, env={**os.environ, "DATABASE_URL": f"sqlite:///{path}"}, check=True, timeout=60
        )
    assert path.exists()


def test_the_command_tells_what_is_wrong_with_the_address() -> None:
    command = [sys.executable, "-m", "monolith.db", "upgrade"]
    done = subprocess.run(
        command,
        env={**os.environ, "DATABASE_URL": "oracle://x"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_sqlite_waits_for_writers_and_checks_references(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with engine.connect() as connection:
        pragmas = ("journal_mode", "busy_timeout", "foreign_keys")
        found = [connection.scalar(text(f"PRAGMA {name}")) for name in pragmas]
    engine.dispose()
    assert found == ["wal", 10_000, 1]
