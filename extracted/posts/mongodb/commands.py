"""What commands about a MongoDB share: its address, and failures as sentences with exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated
from urllib.parse import urlsplit

import typer
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

from extracted.chassis.client import ServiceUnavailableError
from extracted.posts.mongodb.filling import UnexpectedAnswerError
from extracted.posts.mongodb.storage import MongoStorage, NoReplicaSetError
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
    where = urlsplit(url).netloc.rpartition("@")[2]
    try:
        with closing(MongoStorage(url)) as storage:
            yield storage
    except ServerSelectionTimeoutError as error:
        # What follows is the driver's view of all servers, for its authors.
        why = str(error).partition(" (configured")[0].partition(", Timeout:")[0]
        raise _failed(f"no MongoDB can be used at {where}: {why}") from error
    except NoReplicaSetError as error:
        raise _failed(
            f"the MongoDB at {where} is no replica set, so it does not tell what changes and there "
            "would be no way back: make it one, of one server if need be"
        ) from error
    except (PyMongoError, ServiceUnavailableError, UnexpectedAnswerError) as error:
        raise _failed(str(error)) from error


def _failed(why: str) -> typer.Exit:
    typer.echo(f"It could not be done: {why}", err=True)
    return typer.Exit(1)
