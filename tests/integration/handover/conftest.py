"""Databases for moves: a file of SQLite, and scratch databases of the two servers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from strangler_proxy.handover.databases import open_database
from strangler_proxy.handover.databases.port import Database, Session
from tests.services import scratch_database

SERVERS = ("postgresql", "mysql")


def kind_param(kind: str) -> object:
    """A kind of database as a test's parameter, marked where it needs a server."""
    return pytest.param(kind, marks=pytest.mark.services) if kind in SERVERS else kind


KINDS = [kind_param(kind) for kind in ("sqlite", *SERVERS)]


def pair_param(source: str, target: str) -> object:
    """Two kinds of databases as a test's parameter."""
    marks = [pytest.mark.services] if {source, target} & set(SERVERS) else []
    return pytest.param((source, target), marks=marks, id=f"{source}-{target}")


PAIRS = [
    pair_param(source, target) for source in ("sqlite", *SERVERS) for target in ("sqlite", *SERVERS)
]


@dataclass
class Place:
    """An empty database, and sessions to it that end with the test."""

    kind: str
    url: str
    sessions: list[Session] = field(default_factory=list)

    @property
    def database(self) -> Database:
        """As a move opens it."""
        return open_database(self.url)

    def session(self, mover: str | None = None, statement_s: float = 20.0) -> Session:
        """A session: a writer's when no mover is named."""
        session = self.database.session(mover, statement_s)
        self.sessions.append(session)
        return session

    def writer(self, *statements: str) -> Session:
        """An application's session, for which foreign keys count; runs these first."""
        session = self.session()
        if self.kind == "mysql":
            session.execute("SET foreign_key_checks = 1")
        if self.kind == "sqlite":
            session.execute("PRAGMA foreign_keys = ON")
        for statement in statements:
            session.execute(statement)
        return session


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Callable[[str], Place]]:
    """Makes a new database of a kind, in WAL mode where that is SQLite's."""
    with ExitStack() as stack:
        made: list[Place] = []

        def make(kind: str) -> Place:
            if kind == "sqlite":
                path = tmp_path / f"{len(made)}.db"
                connection = sqlite3.connect(path)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.close()
                made.append(Place(kind, f"sqlite:///{path}"))
            else:
                made.append(Place(kind, stack.enter_context(scratch_database(kind))))
            return made[-1]

        def hang_up() -> None:
            for each in made:
                for session in each.sessions:
                    session.close()

        yield make
        hang_up()
