"""`python -m extracted.posts.mongodb.relay`: sends what waits there to the broker until stopped.

As `python -m extracted.chassis.relay` sends an outbox in SQL. Exit codes: 0 stopped, 1 failed, 2
wrong usage.
"""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from extracted.chassis import logs
from extracted.chassis.events.opening import open_broker
from extracted.chassis.relaying import Relay
from extracted.posts.mongodb.commands import DatabaseOption, opened

app = typer.Typer(add_completion=False)


@app.command()
def relay(
    database: DatabaseOption,
    broker: Annotated[
        str, typer.Option("--broker", envvar="BROKER_URL", help="amqp://… or sqlite:///…")
    ] = "",
) -> None:
    """Send the outbox to the broker until stopped by SIGTERM or SIGINT."""
    with opened(database) as storage:
        try:
            publisher = open_broker(broker).publisher()
        except ValueError as error:
            typer.echo(f"BROKER_URL {error}", err=True)
            raise typer.Exit(2) from error
        logs.configure("relay")
        running = Relay(storage.outbox, publisher)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: running.end())
        running.run()


if __name__ == "__main__":
    app(prog_name="python -m extracted.posts.mongodb.relay")
