"""What a consumer remembers of the events that it has handled, in the three databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, MetaData, Table, create_engine, func, select
from sqlalchemy.orm import Session

from extracted.chassis.events.consuming import NotNowError
from extracted.chassis.events.processed import FORGET_EVERY_S, Processed, processed_table


@pytest.fixture(scope="module")
def made(database_url: str) -> Iterator[tuple[Engine, Table]]:
    engine = create_engine(database_url)
    table = processed_table(MetaData())
    table.create(engine)
    yield engine, table
    engine.dispose()


@pytest.fixture
def place(made: tuple[Engine, Table]) -> tuple[Engine, Table]:
    engine, table = made
    with engine.begin() as connection:
        connection.execute(table.delete())
    return made


def test_what_is_noted_is_known_to_its_consumer_alone(place: tuple[Engine, Table]) -> None:
    mail, posts = Processed(*place, "mail"), Processed(*place, "posts")
    assert not mail.has("id-1")
    mail.add("id-1")
    mail.add("id-1")
    assert mail.has("id-1")
    assert not posts.has("id-1")


def test_in_the_handlers_own_transaction_the_note_stands_and_falls_with_the_effect(
    place: tuple[Engine, Table],
) -> None:
    posts = Processed(*place, "posts")
    with Session(place[0]) as session:
        assert posts.first_time(session, "id-1")
        session.rollback()
        assert posts.first_time(session, "id-1")
        session.commit()
        assert not posts.first_time(session, "id-1")
    assert posts.has("id-1")


def test_what_is_old_is_forgotten_a_bounded_number_at_a_time(place: tuple[Engine, Table]) -> None:
    now = 1_000_000.0
    posts = Processed(*place, "posts", keep_s=1000, clock=lambda: now)
    other = Processed(*place, "mail", keep_s=1000, clock=lambda: now)
    posts.add("old")
    other.add("old")
    now += 900 + FORGET_EVERY_S
    posts.add("new")
    assert not posts.has("old")
    assert posts.has("new")
    assert other.has("old")
    with place[0].connect() as connection:
        assert connection.scalar(select(func.count()).select_from(place[1])) == 2


def test_a_database_that_is_away_means_not_now(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/nonexistent/processed.db")
    memory = Processed(engine, processed_table(MetaData()), "mail")
    with pytest.raises(NotNowError):
        memory.has("id-1")
    with pytest.raises(NotNowError):
        memory.add("id-1")


def test_a_consumer_without_a_database_remembers_in_a_file(tmp_path: Path) -> None:
    first = Processed.in_file(tmp_path / "processed.db", "mail")
    first.add("id-1")
    first.close()
    again = Processed.in_file(tmp_path / "processed.db", "mail")
    assert again.has("id-1")
    again.close()
