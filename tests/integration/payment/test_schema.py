"""The schema's history and the tables say the same, and hold every row of the monolith's."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from extracted.chassis.database import open_engine
from extracted.chassis.schema import upgrade
from extracted.payment.tables import metadata, payments
from monolith.models import Payment


def test_the_upgraded_schema_is_the_one_of_the_tables(payment_url: str) -> None:
    engine = open_engine(payment_url)
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
        unique = inspect(connection).get_unique_constraints("payments")
    engine.dispose()
    assert found == []
    assert ["user_id", "idempotency_key"] in [each["column_names"] for each in unique]


def test_upgrading_again_changes_nothing(payment_url: str) -> None:
    upgrade(payment_url, "payment")


def test_the_monoliths_columns_are_all_there_and_the_others_may_be_empty() -> None:
    theirs = {column.name: column for column in Payment.__table__.columns}
    for column in payments.columns:
        if column.name in theirs:
            other = theirs.pop(column.name)
            assert repr(column.type) == repr(other.type)
            assert column.nullable == other.nullable
        else:
            assert column.nullable
    assert theirs == {}
