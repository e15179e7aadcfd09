"""How long the services' engines, and the monolith's, wait for a database server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

import monolith.bounded_psycopg
import monolith.db
from extracted.chassis import bounded_psycopg, database
from tests.integration.events.wire import Line, line_to
from tests.services import PORTS, service_url

Opener = Callable[..., Engine]

pytestmark = pytest.mark.services
openers = pytest.mark.parametrize(
    "open_engine", [database.open_engine, monolith.db.open_engine], ids=["service", "monolith"]
)
servers = pytest.mark.parametrize("kind", ["postgresql", "mysql"])


def asked(engine: Engine, question: str) -> list[object]:
    with engine.connect() as connection:
        return list(connection.execute(text(question)).one())


@pytest.fixture
def line(kind: str) -> Iterator[Line]:
    where = make_url(service_url(kind))
    with line_to(where.host or "", where.port or PORTS[kind]) as made:
        yield made


def by(line: Line, kind: str, **options: str) -> str:
    url = make_url(service_url(kind)).set(host="127.0.0.1", port=line.port, database=None)
    return url.update_query_dict(options).render_as_string(hide_password=False)


QUESTIONS = {
    "postgresql": "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')",
    "mysql": "SELECT @@innodb_lock_wait_timeout, @@lock_wait_timeout",
}
BOUNDS: dict[str, list[object]] = {"postgresql": ["15s", "10s"], "mysql": [10, 10]}
OWN = {
    "postgresql": {"options": "-c lock_timeout=3s"},
    "mysql": {"init_command": "SET innodb_lock_wait_timeout = 3, lock_wait_timeout = 3"},
}


@openers
@servers
def test_a_statement_and_its_locks_are_bounded(open_engine: Opener, kind: str, line: Line) -> None:
    engine = open_engine(by(line, kind))
    assert asked(engine, QUESTIONS[kind]) == BOUNDS[kind]
    engine.dispose()


@openers
@servers
def test_what_the_url_sets_stands(open_engine: Opener, kind: str, line: Line) -> None:
    engine = open_engine(by(line, kind, **OWN[kind]))
    assert asked(engine, QUESTIONS[kind])[1] in {"3s", 3}
    engine.dispose()


@openers
@servers
def test_a_change_of_schema_may_take_its_time(open_engine: Opener, kind: str, line: Line) -> None:
    engine = open_engine(by(line, kind), patient=True)
    statements, locks = asked(engine, QUESTIONS[kind])
    assert statements in {"0", 50}
    assert locks not in BOUNDS[kind]
    engine.dispose()


@openers
@pytest.mark.parametrize("kind", ["mysql"])
def test_a_mysql_that_falls_silent_is_given_up(open_engine: Opener, kind: str, line: Line) -> None:
    engine = open_engine(by(line, kind, read_timeout="1"))
    with engine.connect() as connection:
        line.silence()
        with pytest.raises(OperationalError, match="timed out"):
            connection.execute(text("SELECT 1"))
    engine.dispose()


@openers
@pytest.mark.parametrize("kind", ["postgresql"])
def test_a_statement_that_takes_too_long_for_postgresql_ends(
    open_engine: Opener, kind: str, line: Line
) -> None:
    engine = open_engine(by(line, kind, options="-c statement_timeout=100"))
    with engine.connect() as connection, pytest.raises(OperationalError, match="statement"):
        connection.execute(text("SELECT pg_sleep(30)"))
    engine.dispose()


@openers
@pytest.mark.parametrize("kind", ["postgresql"])
def test_connections_to_postgresql_give_up_a_silent_server(
    open_engine: Opener, kind: str, line: Line
) -> None:
    engine = open_engine(by(line, kind))
    with engine.connect() as connection:
        made = connection.connection.dbapi_connection
        assert type(made).__name__ == "BoundedConnection"
    engine.dispose()


@pytest.mark.parametrize("module", [bounded_psycopg, monolith.bounded_psycopg])
@pytest.mark.parametrize("kind", ["postgresql"])
def test_a_postgresql_that_falls_silent_is_given_up_and_its_connection_closed(
    module: object, kind: str, line: Line
) -> None:
    class Impatient(module.BoundedConnection):  # type: ignore[name-defined, misc]
        silence_s = 0.3

    where = make_url(by(line, kind))
    told = where.translate_connect_args(username="user", database="dbname")
    with closing(Impatient.connect(**told)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        line.silence()
        with pytest.raises(psycopg.OperationalError, match="has said nothing"):
            connection.execute("SELECT 1")
        assert connection.closed
