"""The one database: its engine, one session a request, and its schema history.

`python -m monolith.db upgrade` brings the schema up to date. Importing opens nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from flask import Flask, g
from sqlalchemy import DateTime, Dialect, Engine, String, Text, create_engine, event
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.types import TypeDecorator

from monolith.bounds import bound_waits
from monolith.settings import DEFAULT_DATABASE_URL, database_url

MIGRATIONS = Path(__file__).parents[1] / "migrations"
SQLITE_BUSY_TIMEOUT_MS = 10_000
MAX_ID = 2**31 - 1


class Base(DeclarativeBase):
    """The parent of every table of the blog."""


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC moment, stored without zone: three databases disagree about zones, not this."""

    # To the millisecond everywhere: a move between two of them must not round.
    impl = (
        DateTime()
        .with_variant(mysql.DATETIME(fsp=3), "mysql", "mariadb")
        .with_variant(postgresql.TIMESTAMP(precision=3), "postgresql")
    )
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Drop the zone on the way in."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Give the zone back on the way out."""
        return None if value is None else value.replace(tzinfo=UTC)


def exact_text(length: int) -> String:
    """Text compared byte for byte; MySQL's default collation would make `KEY` equal `key`."""
    return String(length).with_variant(
        mysql.VARCHAR(length, collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def long_text() -> Text:
    """Text without a short limit; MySQL's TEXT ends at 64 KiB."""
    return Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def open_engine(url: str, *, patient: bool = False) -> Engine:
    """Make the engine for one of the three databases. Connects to nothing yet.

    Every wait for a server is bounded (`bounds`); `patient`, for a change of schema, leaves out
    that for what it does. No error tells a statement's values: passwords' hashes are among them.
    """
    backend = make_url(url).get_backend_name()
    if backend == "sqlite":
        engine = create_engine(url, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    options: dict[str, Any] = {"pool_pre_ping": True, "pool_recycle": 280, "pool_timeout": 10}
    if backend in {"mysql", "mariadb"}:
        # MySQL's default snapshot would hide a row that a concurrent request has just added.
        options["isolation_level"] = "READ COMMITTED"
    engine = create_engine(url, pool_size=10, max_overflow=20, hide_parameters=True, **options)
    bound_waits(engine, patient=patient)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    # In WAL the default of many, NORMAL, may lose the last commits in a power cut.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


class Database:
    """The engine, and one session for each request, closed with it."""

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        # Rows stay readable after commit: the answer is built from them, then the request ends.
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    def session(self) -> Session:
        """The session of the request being served."""
        if "session" not in g:
            g.session = self._sessions()
        session: Session = g.session
        return session

    def init_app(self, app: Flask) -> None:
        """Close each request's session; what was not committed is rolled back."""

        @app.teardown_appcontext
        def close(_error: BaseException | None) -> None:
            session: Session | None = g.pop("session", None)
            if session is not None:
                session.close()


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema up to `revision`. Safe to kill and to repeat."""
    path = make_url(url).database
    if url.startswith("sqlite") and path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = open_engine(url, patient=True)
    try:
        _alembic(engine, lambda config: command.upgrade(config, revision))
    finally:
        engine.dispose()


def _alembic(engine: Engine, run: Callable[[Config], None]) -> None:
    config = Config()
    versions = MIGRATIONS / "monolith" / "versions"
    for option, place in (("script_location", MIGRATIONS), ("version_locations", versions)):
        config.set_main_option(option, str(place).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        run(config)


def main(arguments: list[str]) -> int:
    """Run `upgrade [REVISION]` on DATABASE_URL: 0 done, 1 failed, 2 for a mistake in the call."""
    if not 1 <= len(arguments) <= 2 or arguments[0] != "upgrade":
        print("usage: python -m monolith.db upgrade [REVISION]", file=sys.stderr)  # noqa: T201 (a command)
        return 2
    try:
        url = database_url(os.environ.get("DATABASE_URL") or DEFAULT_DATABASE_URL)
    except ValueError as error:
        print(f"DATABASE_URL {error}", file=sys.stderr)  # noqa: T201 (a command)
        return 2
    try:
        upgrade(url, *arguments[1:])
    except DBAPIError as error:
        told = " ".join(str(error.orig).split())
        print(f"The schema could not be brought up to date: {told}", file=sys.stderr)  # noqa: T201 (a command)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
