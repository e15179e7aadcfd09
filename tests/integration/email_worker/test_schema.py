"""The memory that workers of several machines share, in each database."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData

from extracted.chassis import schema
from extracted.chassis.database import open_engine
from extracted.chassis.events.processed import processed_table
from extracted.email_worker.settings import Settings
from extracted.email_worker.worker import open_memory


def test_the_upgraded_schema_is_what_the_worker_notes_in(database_url: str) -> None:
    schema.upgrade(database_url, "email_worker")
    schema.upgrade(database_url, "email_worker")
    metadata = MetaData()
    processed_table(metadata)
    engine = open_engine(database_url)
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    assert found == []


def test_what_one_worker_has_noted_another_knows(database_url: str) -> None:
    schema.upgrade(database_url, "email_worker")
    settings = Settings.from_environ(
        {
            "BROKER_URL": "sqlite:////nowhere.db",
            "SMTP_URL": "smtp://mail",
            "MAIL_FROM": "blog@example.org",
            "DATABASE_URL": database_url,
        }
    )
    one, another = open_memory(settings), open_memory(settings)
    one.add("e-1")
    assert another.has("e-1")
    for each in (one, another):
        each.close()
