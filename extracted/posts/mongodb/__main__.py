"""`python -m extracted.posts.mongodb`: make the indexes at DATABASE_URL. Safe to repeat.

Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer
from pymongo.errors import PyMongoError

from extracted.posts.mongodb.storage import MongoStorage
from extracted.posts.settings import MONGODB, posts_url

app = typer.Typer(add_completion=False)


@app.command()
def prepare(
    database: Annotated[
        str, typer.Option("--database", envvar="DATABASE_URL", help="Where the posts are.")
    ],
) -> None:
    """Make the indexes that the posts service needs in MongoDB. Safe to repeat."""
    try:
        url = posts_url(database)
    except ValueError as error:
        typer.echo(f"DATABASE_URL {error}", err=True)
        raise typer.Exit(2) from error
    if not url.startswith(MONGODB):
        typer.echo(
            "DATABASE_URL is not MongoDB's; see python -m extracted.chassis.schema", err=True
        )
        raise typer.Exit(2)
    with closing(MongoStorage(url)) as storage:
        try:
            storage.prepare()
        except PyMongoError as error:
            typer.echo(f"The indexes could not be made: {error}", err=True)
            raise typer.Exit(1) from error


if __name__ == "__main__":
    app(prog_name="python -m extracted.posts.mongodb")
