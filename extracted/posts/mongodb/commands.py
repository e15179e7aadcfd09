"""What commands about a MongoDB share: its address, and failures as sentences with exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated

import typer
from pymongo.errors import PyMongoError

from extracted.chassis.client import ServiceUnavailableError
from extracted.posts.mongodb.filling import UnexpectedAnswerError
from extracted.posts.mongodb.storage import MongoStorage
from extracted.posts.settings import MONGODB, posts_url

DatabaseOption = Annotated[
    str, typer.Option("--database", envvar="DATABASE_URL", help="Where the posts are: mongodb://…")
]


@contextmanager
def opened(database: str) -> Iterator[MongoStorage]:
    """The storage there; ends the command with 2 for another address, with 1 for a failure."""
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
