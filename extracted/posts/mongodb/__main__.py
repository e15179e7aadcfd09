"""`python -m extracted.posts.mongodb`: the indexes and counters at DATABASE_URL. Safe to repeat.

Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

from typing import Annotated

import typer

from extracted.posts.mongodb.commands import DatabaseOption, opened

app = typer.Typer(add_completion=False)


@app.command()
def indexes(
    database: DatabaseOption,
    for_a_move: Annotated[
        bool, typer.Option("--for-a-move", help="Refuse a MongoDB that no move could leave again.")
    ] = False,
) -> None:
    """Make the indexes that the posts service looks things up by. Safe to repeat."""
    with opened(database) as storage:
        if for_a_move:
            storage.need_replica_set()
        storage.prepare()


if __name__ == "__main__":
    app(prog_name="python -m extracted.posts.mongodb")
