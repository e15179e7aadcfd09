"""The schema's history and the models say the same; users have the monolith's columns."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from extracted.auth.models import Base
from extracted.chassis.database import open_engine
from extracted.chassis.schema import upgrade
from monolith.db import Base as BlogBase
from monolith.models import User


def test_the_upgraded_schema_is_the_one_of_the_models(auth_url: str) -> None:
    engine = open_engine(auth_url)
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), Base.metadata)
        unique = inspect(connection).get_unique_constraints("outbox")
        indexes = inspect(connection).get_indexes("outbox")
    engine.dispose()
    assert found == []
    assert ["event_id"] in [each["column_names"] for each in unique]
    assert {"ix_outbox_sent_id", "ix_outbox_key_sent_id"} <= {each["name"] for each in indexes}


def test_the_columns_of_users_are_those_of_the_monolith() -> None:
    ours, theirs = Base.metadata.tables["users"], BlogBase.metadata.tables[User.__tablename__]
    assert [(c.name, repr(c.type), c.nullable) for c in ours.columns] == [
        (c.name, repr(c.type), c.nullable) for c in theirs.columns
    ]


def test_upgrading_again_changes_nothing(auth_url: str) -> None:
    upgrade(auth_url, "auth")
