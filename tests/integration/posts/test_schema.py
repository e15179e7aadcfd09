"""The schema's history and the tables of the code say the same; and the moved columns are the
monolith's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect

from extracted.chassis.database import open_engine
from extracted.chassis.schema import upgrade
from extracted.posts.tables import metadata
from monolith.db import upgrade as upgrade_blog
from tests.services import scratch_database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Engine, Engine]]:
    """The service's, upgraded twice, and the monolith's."""
    with ExitStack() as stack:
        urls = [f"sqlite:///{tmp_path / name}.db" for name in ("posts", "blog")]
        if request.param == "postgresql":
            urls = [stack.enter_context(scratch_database("postgresql")) for _ in range(2)]
        for _ in range(2):
            upgrade(urls[0], "posts")
        upgrade_blog(urls[1])
        engines = [open_engine(url) for url in urls]
        for engine in engines:
            stack.callback(engine.dispose)
        yield engines[0], engines[1]


def test_the_upgraded_schema_is_the_one_of_the_tables(databases: tuple[Engine, Engine]) -> None:
    with databases[0].connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize("table", ["posts", "comments"])
def test_a_moved_column_is_as_the_monolith_has_it(
    databases: tuple[Engine, Engine], table: str
) -> None:
    ours, theirs = (
        {
            column["name"]: (str(column["type"]), column["nullable"])
            for column in inspect(engine).get_columns(table)
        }
        for engine in databases
    )
    assert ours.pop("author_name") == ("VARCHAR(100)", False)
    assert ours == theirs
    assert [key["referred_table"] for key in inspect(databases[0]).get_foreign_keys(table)] == {
        "posts": [],
        "comments": ["posts"],
    }[table]
