"""`python -m extracted.posts.mongodb.fill_names`: ask for the names of authors that a move brought.

Safe to repeat. Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from extracted.chassis.client import ServiceClient
from extracted.chassis.settings import http_url
from extracted.posts.mongodb.commands import DatabaseOption, opened

TIMEOUT_S = 5.0

app = typer.Typer(add_completion=False)


@app.command()
def names(
    database: DatabaseOption,
    auth: Annotated[
        str, typer.Option("--auth", envvar="AUTH_SERVICE_URL", help="Who knows users: http://…")
    ],
) -> None:
    """Ask for the name of every author of whom nothing is known. Safe to repeat.

    Run it when the move has caught up, before its documents are read.
    """
    try:
        address = http_url(auth)
    except ValueError as error:
        typer.echo(f"AUTH_SERVICE_URL {error}", err=True)
        raise typer.Exit(2) from error
    with opened(database) as storage, closing(ServiceClient(address, timeout_s=TIMEOUT_S)) as asked:
        told, missing = storage.fill_names(asked)
    typer.echo(f"{told} names were told; of {missing} authors there is no user")


if __name__ == "__main__":
    app(prog_name="python -m extracted.posts.mongodb.fill_names")
