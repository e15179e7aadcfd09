"""A blog's posts, the same in SQLite and in PostgreSQL, and the same in every run."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

TABLE = """CREATE TABLE posts (
    id INTEGER PRIMARY KEY, title VARCHAR(200) NOT NULL, body TEXT NOT NULL,
    author_id INTEGER NOT NULL, created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP,
    published BOOLEAN NOT NULL, price NUMERIC(10, 2))"""
_TEXT = (
    "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut "
    "labore et dolore magna aliqua \u00e9t\u00e9"
)
_BODIES = 2_000


def posts(count: int) -> Iterator[tuple[Any, ...]]:
    """So many posts with bodies of 200 to 300 characters, some with line breaks and backslashes."""
    rng = random.Random(1)  # noqa: S311 - test data
    words = _TEXT.split()
    bodies = [" ".join(rng.choices(words, k=60))[: rng.randint(200, 300)] for _ in range(_BODIES)]
    first = datetime(2024, 1, 1)
    for number in range(1, count + 1):
        made = first + timedelta(seconds=number, microseconds=number * 7919 % 1_000_000)
        body = bodies[number % _BODIES] + ("\n\tC:\\new" if number % 50 == 0 else "")
        changed = made if number % 3 == 0 else None
        price = Decimal(number % 1_000_000) / 100
        title = f"Post number {number}"
        yield number, title, body, number % 5_000, made, changed, number % 2 == 0, price


def fill_postgresql(url: str, count: int) -> None:
    """Make the table with so many posts."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(TABLE)
        with cursor.copy("COPY posts FROM STDIN") as copy:
            for row in posts(count):
                copy.write_row(row)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE posts")


def fill_sqlite(path: Path, count: int) -> None:
    """Make a file with the table and so many posts, as SQLAlchemy would store them."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(TABLE)
        connection.executemany(
            "INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(_stored, posts(count))
        )


def _stored(row: tuple[Any, ...]) -> tuple[Any, ...]:
    number, title, body, author, made, changed, published, price = row
    return (
        number,
        title,
        body,
        author,
        made.isoformat(" ", "microseconds"),
        changed and changed.isoformat(" ", "microseconds"),
        published,
        float(price),
    )
