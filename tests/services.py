"""Real servers for tests marked `services`; REQUIRE_SERVICES=1 makes a missing one a failure."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url

ADDRESSES = {
    "postgresql": ("TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test"),
    "mysql": ("TEST_MYSQL_URL", "mysql+pymysql://root@127.0.0.1:3306/test"),
    "amqp": ("TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/"),
}
PORTS = {"postgresql": 5432, "mysql": 3306, "amqp": 5672}


def service_url(kind: str) -> str:
    """The address of a running server of this kind, or the test ends here."""
    variable, default = ADDRESSES[kind]
    url = os.environ.get(variable, default)
    where = make_url(url)
    try:
        socket.create_connection((where.host, where.port or PORTS[kind]), timeout=2).close()
    except OSError as error:
        missing(f"no {kind} at {where.host}:{where.port} ({error}); {variable} names another")
    return url


def missing(told: str) -> NoReturn:
    """End the test: there is no such server. Where all are required, it has failed."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(f"REQUIRE_SERVICES=1, but there is {told}")
    pytest.skip(f"there is {told}")


@contextmanager
def scratch_database(kind: str) -> Iterator[str]:
    """A new, empty database on a real server, dropped at the end; gives its URL."""
    server = make_url(service_url(kind))
    name = f"strangler_{uuid.uuid4().hex[:12]}"
    _administer(server, f"CREATE DATABASE {name}{_CHARSET.get(kind, '')}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        _administer(server, f"DROP DATABASE {name}{_FORCE.get(kind, '')}")


_CHARSET = {"mysql": " CHARACTER SET utf8mb4"}
_FORCE = {"postgresql": " WITH (FORCE)"}


def _administer(server: URL, statement: str) -> None:
    # The database that the address names may not exist; these always do.
    server = server.set(database={"postgresql": "postgres"}.get(server.get_backend_name()))
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()
