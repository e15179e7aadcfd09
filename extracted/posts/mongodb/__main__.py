"""`python -m extracted.posts.mongodb indexes|names`: what a MongoDB needs before it serves posts.

Both are safe to repeat. Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated

import typer
from pymongo.errors import PyMongoError

from extracted.chassis.client import ServiceClient, ServiceUnavailableError
from extracted.chassis.settings import http_url
from extracted.posts.mongodb.filling import UnexpectedAnswerError
from extracted.posts.mongodb.storage import MongoStorage
from extracted.posts.settings import MONGODB, posts_url

TIMEOUT_S = 5.0

app = typer.Typer(add_completion=False)
Database = Annotated[
    str, typer.Option("--database", envvar="DATABASE_URL", help="Where the posts are: mongodb://…")
]


@app.callback()
def main() -> None:
    """What a MongoDB needs before it serves posts."""


@app.command()
def indexes(database: Database) -> None:
    """Make the indexes that the posts service looks things up by."""
    with _opened(database) as storage:
        storage.prepare()


@app.command()
def names(
    database: Database,
    auth: Annotated[
        str, typer.Option("--auth", envvar="AUTH_SERVICE_URL", help="Who knows users: http://…")
    ],
) -> None:
    """Ask for the names of authors whose posts and comments a move has brought.

    Run it when the move has caught up, before its documents are read.
    """
    try:
        address = http_url(auth)
    except ValueError as error:
        typer.echo(f"AUTH_SERVICE_URL {error}", err=True)
        raise typer.Exit(2) from error
    with (
        _opened(database) as storage,
        closing(ServiceClient(address, timeout_s=TIMEOUT_S)) as asked,
    ):
        told, missing = storage.fill_names(asked)
    typer.echo(f"{told} names were told; of {missing} authors there is no user")


@contextmanager
def _opened(database: str) -> Iterator[MongoStorage]:
    try:
        url = posts_url(database)
        if not url.startswith(MONGODB):
            raise ValueError("is not MongoDB's; see python -m extracted.chassis.schema")  # noqa: TRY301 (a fault like any other)
    except ValueError as error:
        typer.echo(f"DATABASE_URL {error}", err=True)
        raise typer.Exit(2) from error
    try:
        with closing(MongoStorage(url)) as storage:
            yield storage
    except (PyMongoError, ServiceUnavailableError, UnexpectedAnswerError) as error:
        typer.echo(f"It could not be done: {error}", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app(prog_name="python -m extracted.posts.mongodb")
