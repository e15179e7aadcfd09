"""Alembic's entry point for every history. Imports no application models.

An upgrade may be killed at any moment and run again, and two may be run at once: one waits for the
other, and reads how far the schema is when it has its turn. SQLite and PostgreSQL take back what a
dead one has made. MySQL and MariaDB commit every definition by itself: there a table or an index
that is made already is passed over, so a revision that changes one has to be safe to repeat.
"""

from typing import Any

from alembic import context
from sqlalchemy import DDL, Connection, event, inspect
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable

WAIT_S = 60
LOCK = 0x5374_7273_6368_656D  # 'Strschem': an advisory lock of one's own
WHOLE = {"sqlite", "postgresql"}  # a transaction holds definitions


def take_turn(connection: Connection) -> None:
    """Wait until no other upgrade of this database is under way, nor a dead one's last statement.

    The turn ends with the transaction, or with the session. Raises OperationalError.
    """
    database = connection.dialect.name
    if database == "sqlite":
        # The driver would begin a transaction for rows, and none for definitions.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif database == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAIT_S}s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    else:
        asked = f"SELECT GET_LOCK(SHA1(CONCAT(DATABASE(), ' schema')), {WAIT_S})"
        if connection.exec_driver_sql(asked).scalar() != 1:
            told = f"another upgrade has not ended within {WAIT_S} s"
            raise OperationalError(asked, None, TimeoutError(told))


def pass_over(connection: Connection, statement: Any, many: Any, one: Any, _: Any) -> Any:
    """Do nothing in the place of a statement whose table or index is there (`before_execute`)."""
    return (DDL("DO 0") if is_made(connection, statement) else statement), many, one


def is_made(connection: Connection, statement: Any) -> bool:
    """Whether that table, by the names of its columns, or that index is there already."""
    found = inspect(connection)
    if isinstance(statement, CreateTable):
        table = statement.element
        return found.has_table(table.name) and set(table.columns.keys()) == {
            column["name"] for column in found.get_columns(table.name)
        }
    if isinstance(statement, CreateIndex):
        index = statement.element
        wanted = (index.name, [column.name for column in index.columns])
        indexes = found.get_indexes(index.table.name)
        return wanted in [(each["name"], each["column_names"]) for each in indexes]
    return False


def run() -> None:
    """Carry out what Alembic was asked for, in the transaction of the connection it was given."""
    connection = context.config.attributes["connection"]
    take_turn(connection)
    if connection.dialect.name not in WHOLE:
        event.listen(connection, "before_execute", pass_over, retval=True)
    context.configure(connection=connection, target_metadata=None, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


run()
