"""`python -m extracted.posts.consumer`: keeps the copied names of authors fresh until stopped.

It takes `user.renamed` alone: of a new user's name the service learns from the token that he writes
with. Exit codes: 0 stopped, 2 wrong settings.
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
from extracted.chassis.events.payloads import Payload, UserRenamed
from extracted.chassis.settings import SettingsError
from extracted.posts.opening import open_storage
from extracted.posts.service import Repository
from extracted.posts.settings import ConsumerSettings

SUBSCRIPTION = Subscription("posts", (UserRenamed.TYPE,))


def run(settings: ConsumerSettings, stop: threading.Event) -> None:
    """Handle what comes until `stop` is set."""
    with closing(open_storage(settings.database_url)) as storage:
        handlers: dict[type[Payload], Handler] = {UserRenamed: _renaming(storage.repository())}
        consume(open_broker(settings.broker_url), SUBSCRIPTION, handlers, storage.memory, stop)


def _renaming(repository: Repository) -> Handler:
    def rename(event: Event[UserRenamed]) -> None:
        told = event.payload
        repository.rename(event.id, told.user_id, told.name, event.occurred_at)

    return rename


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
