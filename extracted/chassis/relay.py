"""`python -m extracted.chassis.relay`: sends a service's outbox to the broker until stopped.

Or says what waits there (`--status`), or throws it away (`--forget`).

Exit codes: 0 stopped or told, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from sqlalchemy import MetaData
from sqlalchemy.exc import SQLAlchemyError

from extracted.chassis import logs
from extracted.chassis.database import database_url, open_engine, said
from extracted.chassis.events.opening import open_broker
from extracted.chassis.outbox import outbox_table
from extracted.chassis.outbox_store import SqlOutbox
from extracted.chassis.relaying import Relay

app = typer.Typer(add_completion=False)


@app.command()
def relay(
    database: Annotated[
        str, typer.Option("--database", envvar="DATABASE_URL", help="Where the outbox is.")
    ],
    broker: Annotated[
        str, typer.Option("--broker", envvar="BROKER_URL", help="amqp://… or sqlite:///…")
    ] = "",
    status: Annotated[
        bool, typer.Option("--status", help="Say how many events wait, and send nothing.")
    ] = False,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget",
            help="Throw away what waits, for good: nobody keeps what it is about any more.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --status or --forget: as JSON.")
    ] = False,
) -> None:
    """Send a service's outbox to the broker until stopped by SIGTERM or SIGINT."""
    if status and forget:
        typer.echo("--status tells and --forget throws away: say one of them.", err=True)
        raise typer.Exit(2)
    with _named("DATABASE_URL"):
        engine = open_engine(database_url(database))
    store = SqlOutbox(engine, outbox_table(MetaData()))
    if status or forget:
        try:
            (_tell if status else _forget)(store, as_json)
        finally:
            engine.dispose()
        return
    with _named("BROKER_URL"):
        publisher = open_broker(broker).publisher()
    logs.configure("relay")
    running = Relay(store, publisher)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.end())
    running.run()


@contextmanager
def _named(variable: str) -> Iterator[None]:
    """End the command with 2, naming the variable whose value cannot be used."""
    try:
        yield
    except ValueError as error:
        typer.echo(f"{variable} {error}", err=True)
        raise typer.Exit(2) from error


def _tell(store: SqlOutbox, as_json: bool) -> None:
    try:
        backlog = store.backlog()
    except SQLAlchemyError as error:
        typer.echo(f"The outbox cannot be read: {said(error)}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps({"events": backlog.events, "oldest_s": round(backlog.oldest_s, 1)}))
    else:
        typer.echo(f"{backlog.events} events wait; the oldest for {backlog.oldest_s:.1f} s")


def _forget(store: SqlOutbox, as_json: bool) -> None:
    try:
        forgotten = store.forget()
    except (SQLAlchemyError, TimeoutError) as error:
        typer.echo(f"The outbox cannot be emptied: {said(error)}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps({"forgotten": forgotten}))
    else:
        typer.echo(f"{forgotten} events that waited are thrown away")


if __name__ == "__main__":
    app(prog_name="python -m extracted.chassis.relay")
