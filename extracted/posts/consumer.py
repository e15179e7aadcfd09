"""`python -m extracted.posts.consumer`: keeps the copied names of authors fresh until stopped.

While a move keeps the tables shut, events wait. Exit codes: 0 stopped, 2 wrong settings.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import closing

import typer

from extracted.chassis import logs
from extracted.chassis.events import Event, Subscription, consume, open_broker
from extracted.chassis.events.consuming import Handler
from extracted.chassis.events.payloads import Payload, UserRegistered, UserRenamed
from extracted.chassis.settings import SettingsError
from extracted.posts.opening import open_storage
from extracted.posts.service import Repository
from extracted.posts.settings import ConsumerSettings

SUBSCRIPTION = Subscription("posts", (UserRegistered.TYPE, UserRenamed.TYPE))


def run(settings: ConsumerSettings, stop: threading.Event) -> None:
    """Handle what comes until `stop` is set."""
    with closing(open_storage(settings.database_url)) as storage:
        broker = open_broker(settings.broker_url)
        consume(broker, SUBSCRIPTION, handlers(storage.repository()), storage.memory, stop)


def handlers(repository: Repository) -> dict[type[Payload], Handler]:
    """What is done about each event: the name that it tells is written, if none is newer."""

    def registered(event: Event[UserRegistered]) -> None:
        user = event.payload.user
        repository.rename(event.id, user.id, user.name, event.occurred_at)

    def renamed(event: Event[UserRenamed]) -> None:
        told = event.payload
        repository.rename(event.id, told.user_id, told.name, event.occurred_at)

    return {UserRegistered: registered, UserRenamed: renamed}


def main(environ: Mapping[str, str]) -> int:
    """Run until SIGTERM or SIGINT; gives the exit code."""
    try:
        settings = ConsumerSettings.from_environ(environ)
    except SettingsError as error:
        typer.echo(error, err=True)
        return 2
    logs.configure("posts-consumer")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run(settings, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
