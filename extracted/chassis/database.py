"""A service's own SQL database: its engine, its sessions, and columns that three databases keep
alike. Importing opens nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, Engine, String, Text, create_engine, event
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import sessionmaker
from sqlalchemy.types import TypeDecorator

from extracted.chassis.bounds import bound_waits

DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
SQLITE_BUSY_TIMEOUT_MS = 10_000
MAX_ID = 2**31 - 1
TABLE_OPTIONS = {
    "sqlite_autoincrement": True,  # an id of a deleted row is never given out again
    "mysql_charset": "utf8mb4",
    "mariadb_charset": "utf8mb4",
}


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


def database_url(text: str) -> str:
    """The URL with the driver that this project installs. Raises ValueError for an unusable one."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # the latter for a port
        raise ValueError("is not a database URL such as sqlite:///var/auth.db") from None
    url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
    if url.get_backend_name() not in {"sqlite", "postgresql", "mysql", "mariadb"}:
        raise ValueError(f"names {url.drivername!r}; use sqlite, postgresql or mysql")
    try:
        url.get_dialect().import_dbapi()
    except (ArgumentError, ImportError):
        told = f"names the driver {url.drivername!r}, which is not installed here"
        raise ValueError(f"{told}; write {url.get_backend_name()}://…") from None
    return url.render_as_string(hide_password=False)


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


def said(error: Exception) -> str:
    """What went wrong, in one line; of a database's failure without statement and values."""
    own = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return " ".join(str(own).split())


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    # In WAL the default of many, NORMAL, may lose the last commits in a power cut.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


class Database:
    """The engine, and sessions, each for whoever opens it."""

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        # Rows stay readable after commit: the answer is built from them, then the request ends.
        self.sessions = sessionmaker(self.engine, expire_on_commit=False)

    def close(self) -> None:
        """Let go of connections."""
        self.engine.dispose()
