"""The walk's databases and broker on real servers: made for one walk, and taken away after it.

TEST_POSTGRES_URL, TEST_MYSQL_URL and TEST_AMQP_URL name other servers than those of this machine.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pika
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from extracted.chassis.database import database_url
from extracted.chassis.events.port import DELAYS_S
from scripts.processes import ComponentFailedError

POSTGRES = "postgresql://postgres@127.0.0.1:5432/postgres"
MYSQL = "mysql://root@127.0.0.1:3306/"
AMQP = "amqp://guest:guest@127.0.0.1:5672/"
# Whose database is of which kind; the monolith's is DATABASE_URL.
DATABASES = {
    "DATABASE_URL": "mysql",
    "AUTH_DATABASE_URL": "postgresql",
    "POSTS_DATABASE_URL": "postgresql",
    "PAYMENT_DATABASE_URL": "mysql",
}
QUEUES = ("mail", "posts")


@contextmanager
def real_servers() -> Iterator[dict[str, str]]:
    """Variables that lead to new databases and to a namespace of the broker; all gone at the end.

    Raises ComponentFailedError when a server does not let them be made.
    """
    walk = f"strangler_walk_{secrets.token_hex(4)}"
    servers = {
        "postgresql": os.environ.get("TEST_POSTGRES_URL", POSTGRES),
        "mysql": os.environ.get("TEST_MYSQL_URL", MYSQL),
    }
    names = {variable: f"{walk}_{variable.partition('_')[0].lower()}" for variable in DATABASES}
    broker = os.environ.get("TEST_AMQP_URL", AMQP)
    try:
        for variable, name in names.items():
            charset = " CHARACTER SET utf8mb4" if DATABASES[variable] == "mysql" else ""
            _administer(servers[DATABASES[variable]], f"CREATE DATABASE {name}{charset}")
        yield {
            **{
                variable: _url(servers[DATABASES[variable]], name)
                for variable, name in names.items()
            },
            "BROKER_URL": f"{broker}?namespace={walk}",
        }
    except SQLAlchemyError as fault:
        raise ComponentFailedError(f"a database could not be made: {fault}") from fault
    finally:
        for variable, name in names.items():
            force = " WITH (FORCE)" if DATABASES[variable] == "postgresql" else ""
            _administer(servers[DATABASES[variable]], f"DROP DATABASE IF EXISTS {name}{force}")
        _clear(broker, walk)


def _url(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def _administer(server: str, statement: str) -> None:
    # The database that the address names may not exist; these always do.
    url = make_url(database_url(server))
    url = url.set(database="postgres" if url.get_backend_name() == "postgresql" else None)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


def _clear(broker: str, namespace: str) -> None:
    """Delete the exchange and the queues. What is not there does no harm."""
    try:
        connection = pika.BlockingConnection(pika.URLParameters(broker))
    except pika.exceptions.AMQPError:
        return  # there was nothing to be made either
    channel = connection.channel()
    ends = ("", ".dead", *(f".retry.{round(delay_s * 1000)}" for delay_s in DELAYS_S))
    for queue in QUEUES:
        for end in ends:
            channel.queue_delete(f"{namespace}.{queue}{end}")
    channel.exchange_delete(f"{namespace}.events")
    connection.close()
