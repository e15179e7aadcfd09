"""`python -m extracted.posts.mongodb.backlog`: how many events wait to be sent.

As `python -m extracted.chassis.relay --status` tells it of an outbox in SQL. Exit codes: 0 told,
1 failed, 2 wrong usage.
"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from extracted.posts.mongodb.commands import DatabaseOption, opened

app = typer.Typer(add_completion=False)


@app.command()
def backlog(
    database: DatabaseOption,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say how many events wait to be sent, and for how long. Sends nothing."""
    with opened(database) as storage:
        waiting = storage.outbox.backlog()
    if as_json:
        typer.echo(json.dumps({"events": waiting.events, "oldest_s": round(waiting.oldest_s, 1)}))
    else:
        typer.echo(f"{waiting.events} events wait; the oldest for {waiting.oldest_s:.1f} s")


if __name__ == "__main__":
    app(prog_name="python -m extracted.posts.mongodb.backlog")
