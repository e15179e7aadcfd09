"""`python -m extracted.posts.mongodb.fill_names`: ask for the names of authors that a move brings.

Safe to repeat. Exit codes: 0 done or stopped, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import signal
import threading
from contextlib import closing
from typing import Annotated

import typer

from extracted.chassis import logs
from extracted.chassis.client import ServiceClient
from extracted.chassis.settings import http_url
from extracted.posts.mongodb.commands import DatabaseOption, opened
from extracted.posts.mongodb.filling import follow

TIMEOUT_S = 5.0

app = typer.Typer(add_completion=False)


@app.command()
def names(
    database: DatabaseOption,
    auth: Annotated[
        str, typer.Option("--auth", envvar="AUTH_SERVICE_URL", help="Who knows users: http://…")
    ],
    every: Annotated[
        bool, typer.Option("--every", help="Of authors with a name as well: correct it.")
    ] = False,
    following: Annotated[
        bool, typer.Option("--follow", help="Go on for new authors until stopped.")
    ] = False,
) -> None:
    """Ask for the name of every author of whom nothing is known. Safe to repeat.

    Run it when the move has caught up, before its documents are read; and with --follow from then
    on, as long as the move brings more.
    """
    try:
        address = http_url(auth)
    except ValueError as error:
        typer.echo(f"AUTH_SERVICE_URL {error}", err=True)
        raise typer.Exit(2) from error
    with opened(database) as storage, closing(ServiceClient(address, timeout_s=TIMEOUT_S)) as asked:
        if not following:
            told, nobody = storage.fill_names(asked, every=every)
            typer.echo(f"{told} names were told; of {len(nobody)} authors there is no user")
            return
        logs.configure("posts-names")
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        follow(lambda but: storage.fill_names(asked, but=but), stop)


if __name__ == "__main__":
    app(prog_name="python -m extracted.posts.mongodb.fill_names")
